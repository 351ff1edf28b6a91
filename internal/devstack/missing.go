package devstack

import (
	"fmt"
	"os/exec"
)

// MissingError says that a program is not installed, and which Debian package
// has it.
type MissingError struct {
	Program string
	Package string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed (Debian package %s)", e.Program, e.Package)
}

// LookJava finds the Java runtime. The error is a *MissingError.
func LookJava() (string, error) { return look("java", "openjdk-17-jre-headless") }

// LookMaven finds Maven. The error is a *MissingError.
func LookMaven() (string, error) { return look("mvn", "maven") }

// LookRedis finds the Redis server. The error is a *MissingError.
func LookRedis() (string, error) { return look("redis-server", "redis-server") }

func look(program, debianPackage string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", &MissingError{Program: program, Package: debianPackage}
	}
	return path, nil
}
