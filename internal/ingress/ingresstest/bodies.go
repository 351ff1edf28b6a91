package ingresstest

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// bodies are the closed schemas of what answers carry, compiled once.
// openapi3filter judges by the same validator, and compiles the schema anew for
// each answer, which takes longer than most calls.
type bodies map[string]*jsonschema.Schema // by pointer into the description

const descriptionName = "urn:openapi"

// compileBodies compiles the schema of every body of every answer, and every
// schema that has a name.
func compileBodies(closed []byte) (bodies, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(closed))
	if err != nil {
		return nil, fmt.Errorf("reading the description: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(descriptionName, document); err != nil {
		return nil, fmt.Errorf("reading the description's schemas: %w", err)
	}
	all := make(bodies)
	var compile func(node any, pointer string, in string) error
	compile = func(node any, pointer, in string) error {
		members, _ := node.(map[string]any)
		for name, value := range members {
			below := pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			answers := name == "schema" && strings.Contains(pointer, "/content/") && strings.Contains(pointer, "/responses/")
			if answers || in == "schemas" {
				schema, err := compiler.Compile(descriptionName + "#" + below)
				if err != nil {
					return fmt.Errorf("compiling %s: %w", below, err)
				}
				all[below] = schema
				continue
			}
			if err := compile(value, below, name); err != nil {
				return err
			}
		}
		return nil
	}
	return all, compile(document, "", "")
}

// checkAnswer holds the body of an answer against what its operation describes
// for the status and the type; where is a pointer to the response.
func (b bodies) checkAnswer(where string, answer Answer) error {
	kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("its Content-Type: %w", err)
	}
	schema := b[where+"/content/"+strings.ReplaceAll(kind, "/", "~1")+"/schema"]
	if schema == nil {
		return fmt.Errorf("Content-Type %q is not described", kind)
	}
	if kind == "application/yaml" {
		return nil // a document, which others check
	}
	return validate(schema, answer.Body)
}

// checkNamed holds a value against a schema that has a name.
func (b bodies) checkNamed(name string, value []byte) error {
	schema := b["/components/schemas/"+closedName(name)]
	if schema == nil {
		return fmt.Errorf("there is no schema %s", name)
	}
	return validate(schema, value)
}

func validate(schema *jsonschema.Schema, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	if err := schema.Validate(value); err != nil {
		return errors.Join(errors.New("the body"), err)
	}
	return nil
}
