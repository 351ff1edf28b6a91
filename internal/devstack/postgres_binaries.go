package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchedPostgres is what is fetched where no Postgres is installed.
const fetchedPostgres = embeddedpostgres.V17

// FindPostgres finds a folder with the programs initdb and postgres: on PATH,
// below /usr/lib/postgresql (the newest), or fetched into a cache at the first
// use, which takes a few seconds and 15 MB.
func FindPostgres(ctx context.Context) (string, error) {
	if found := installedPostgres(); found != "" {
		return found, nil
	}
	return FetchPostgres(ctx)
}

// installedPostgres is the folder of an installation, or empty.
func installedPostgres() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		// What is on PATH may be a link or a wrapper; the server has to be
		// beside it.
		if target, err := filepath.EvalSymlinks(path); err == nil && hasPostgres(filepath.Dir(target)) {
			return filepath.Dir(target)
		}
	}
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	version := func(folder string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		return number
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	for _, folder := range folders {
		if hasPostgres(folder) {
			return folder
		}
	}
	return ""
}

func hasPostgres(folder string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(folder, program)); err != nil {
			return false
		}
	}
	return true
}

// FetchPostgres returns the folder of Postgres programs in the cache, and fills
// the cache first when it has none.
func FetchPostgres(ctx context.Context) (string, error) {
	cache, err := postgresCache()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "postgres-"+string(fetchedPostgres))
	programs := filepath.Join(home, "bin")
	if hasPostgres(programs) {
		return programs, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("making a cache for postgres: %w", err)
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", fmt.Errorf("making a folder to fetch postgres into: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return "", fmt.Errorf("opening the folder to fetch postgres into: %w", err)
	}
	unpacked := filepath.Join(work, "postgres")
	if err := fetchPostgres(ctx, work, unpacked); err != nil {
		return "", err
	}
	// In one step, because other processes may look at the same time; whoever
	// comes second finds what the first one put there.
	if err := os.Rename(unpacked, home); err != nil && !hasPostgres(programs) {
		return "", fmt.Errorf("putting postgres into the cache: %w", err)
	}
	return programs, nil
}

// fetchPostgres fetches and unpacks. The library has one call, which fetches,
// makes a database and starts it; as root it can only do the first. So it is
// given a data folder which looks as if it was there and has no settings, on
// which the start fails at once: with the programs unpacked, that is as far as
// it should go.
func fetchPostgres(ctx context.Context, work, unpacked string) error {
	data := filepath.Join(work, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		return fmt.Errorf("preparing to fetch postgres: %w", err)
	}
	major, _, _ := strings.Cut(string(fetchedPostgres), ".")
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(major+"\n"), 0o644); err != nil {
		return fmt.Errorf("preparing to fetch postgres: %w", err)
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	library := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(fetchedPostgres).
		Port(uint32(port)).
		CachePath(work).
		RuntimePath(filepath.Join(work, "runtime")).
		DataPath(data).
		BinariesPath(unpacked).
		Logger(io.Discard))
	done := make(chan error, 1)
	go func() { done <- library.Start() }()
	select {
	case err = <-done:
	case <-ctx.Done(): // the fetch itself takes no context and ends by itself
		return fmt.Errorf("fetching postgres: %w", ctx.Err())
	}
	if err == nil {
		return errors.Join(errors.New("fetching postgres: a server started on an empty folder"), library.Stop())
	}
	if !hasPostgres(filepath.Join(unpacked, "bin")) {
		return fmt.Errorf("fetching postgres: %w", err)
	}
	return nil
}

// postgresCache is where fetched programs are kept: a place that the
// unprivileged user of root's servers can read.
func postgresCache() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/anteroom", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache folder: %w", err)
	}
	return filepath.Join(cache, "anteroom"), nil
}
