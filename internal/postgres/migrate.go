package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Errors of Migrate and CheckSchema.
var (
	// ErrSchemaOlder means that the database lacks migrations of this program.
	ErrSchemaOlder = errors.New("the database's schema is older than this program: run anteroom migrate")
	// ErrSchemaNewer means that a newer program has migrated the database.
	ErrSchemaNewer = errors.New("the database's schema is newer than this program: start the version whose anteroom migrate was run last")
)

// How long one migrate waits for another: this often, so many times.
const (
	migrateLockSeconds  = 1
	migrateLockAttempts = 60
)

//go:embed migrations/*.sql
var embedded embed.FS // immutable

// Migrate brings the database's schema up to this program's. It may be called
// at any time and by several at once: one migrates, the others wait for it.
// report, which may be nil, hears of each migration that was applied.
func Migrate(ctx context.Context, url string, report func(applied string)) (err error) {
	if err := CheckSchema(ctx, url); errors.Is(err, ErrSchemaNewer) {
		return err
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("reading the address of postgres: %w", err)
	}
	config.RuntimeParams["application_name"] = "anteroom migrate"
	config.RuntimeParams["lock_timeout"] = "10s"
	database := stdlib.OpenDB(*config)
	defer func() {
		if closing := database.Close(); closing != nil && err == nil {
			err = fmt.Errorf("closing the connection after migrating: %w", closing)
		}
	}()

	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(migrateLockSeconds, migrateLockAttempts))
	if err != nil {
		return fmt.Errorf("preparing the lock of migrations: %w", err)
	}
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return fmt.Errorf("opening the migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, database, migrations,
		goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)), // report tells
	)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	if report != nil {
		for _, result := range results {
			report(result.Source.Path)
		}
	}
	return CheckSchema(ctx, url)
}

// CheckSchema reports whether the database has the schema that this program
// was written for: ErrSchemaOlder or ErrSchemaNewer if it has not. It changes
// nothing.
func CheckSchema(ctx context.Context, url string) error {
	want, err := newestMigration()
	if err != nil {
		return err
	}
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	defer closeConnection(ctx, connection)

	var migrated bool
	if err := connection.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, goose.DefaultTablename).Scan(&migrated); err != nil {
		return fmt.Errorf("looking for the database's schema: %w", err)
	}
	var has int64
	if migrated {
		query := `SELECT coalesce(max(version_id), 0) FROM ` + goose.DefaultTablename + ` WHERE is_applied`
		if err := connection.QueryRow(ctx, query).Scan(&has); err != nil {
			return fmt.Errorf("reading the version of the database's schema: %w", err)
		}
	}
	switch {
	case has < want:
		return fmt.Errorf("version %d, expected %d: %w", has, want, ErrSchemaOlder)
	case has > want:
		return fmt.Errorf("version %d, expected %d: %w", has, want, ErrSchemaNewer)
	}
	return nil
}

// newestMigration is the version of this program's schema.
func newestMigration() (int64, error) {
	files, err := fs.Glob(embedded, "migrations/*.sql")
	if err != nil {
		return 0, fmt.Errorf("listing the migrations: %w", err)
	}
	var newest int64
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return 0, fmt.Errorf("reading the version of %s: %w", file, err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}
