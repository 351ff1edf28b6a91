package devstack

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CreateDatabase makes an empty database on the server at serverURL and returns
// its address.
func CreateDatabase(ctx context.Context, serverURL, name string) (string, error) {
	address, err := url.Parse(serverURL)
	if err != nil {
		return "", fmt.Errorf("reading postgres's address: %w", err)
	}
	if err := execute(ctx, serverURL, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("creating database %s: %w", name, err)
	}
	address.Path = "/" + name
	return address.String(), nil
}

// SetForDatabase sets a setting of the server for all later sessions of a
// database on it.
func SetForDatabase(ctx context.Context, serverURL, database, setting, value string) error {
	statement := "ALTER DATABASE " + pgx.Identifier{database}.Sanitize() + " SET " + pgx.Identifier{setting}.Sanitize() +
		" = '" + strings.ReplaceAll(value, "'", "''") + "'"
	if err := execute(ctx, serverURL, statement); err != nil {
		return fmt.Errorf("setting %s for database %s: %w", setting, database, err)
	}
	return nil
}

// DropDatabase removes a database and ends the sessions that use it.
func DropDatabase(ctx context.Context, serverURL, name string) error {
	statement := "DROP DATABASE IF EXISTS " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)"
	if err := execute(ctx, serverURL, statement); err != nil {
		return fmt.Errorf("dropping database %s: %w", name, err)
	}
	return nil
}

func execute(ctx context.Context, address, statement string) error {
	connection, err := pgx.Connect(ctx, address)
	if err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, statement); err != nil {
		return fmt.Errorf("executing: %w", err)
	}
	return nil
}
