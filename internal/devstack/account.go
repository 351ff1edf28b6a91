package devstack

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that a server runs as; the zero value is ours.
type account struct {
	name     string
	uid, gid uint32
}

// unprivileged is the account for a server that refuses to run as root: ours,
// unless that is root's.
func unprivileged() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("reading the user id of %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("reading the group id of %s: %w", name, err)
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return account{}, errors.New("running as root, and there is no user postgres or nobody to run postgres as")
}

// credential is for the child's attributes; nil keeps ours.
func (a account) credential() *syscall.Credential {
	if a.name == "" {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// give makes the account the owner of one folder that it can reach.
func (a account) give(dir string) error {
	if a.name == "" {
		return nil
	}
	// A temporary folder is closed to others. Passing through is enough.
	parent := filepath.Dir(dir)
	if err := os.Chmod(parent, 0o711); err != nil {
		return fmt.Errorf("letting %s pass through %s: %w", a.name, parent, err)
	}
	if err := os.Chown(dir, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("giving %s to %s: %w", dir, a.name, err)
	}
	return a.checkReach(dir)
}

// checkReach says which folder above dir keeps the account out, which its
// server would say less clearly.
func (a account) checkReach(dir string) error {
	if a.name == "" {
		return nil
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("finding %s: %w", dir, err)
	}
	for at := filepath.Dir(absolute); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("looking at %s: %w", at, err)
		}
		if !a.mayEnter(info) {
			return fmt.Errorf("postgres runs as %s, who may not enter %s: choose another folder", a.name, at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func (a account) mayEnter(info os.FileInfo) bool {
	mode := info.Mode().Perm()
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case known && owner.Uid == a.uid:
		return mode&0o100 != 0
	case known && owner.Gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// PostgresReaches says, with an error, when the user that Postgres runs as may
// not enter the folder above dir, so that dir cannot be its folder. Where it
// runs as our own user, every folder is fine.
func PostgresReaches(dir string) error {
	owner, err := unprivileged()
	if err != nil {
		return err
	}
	return owner.checkReach(dir)
}
