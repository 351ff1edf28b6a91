package ingresstest

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// closed gives a description as JSON, in which no body of an answer may have a
// member that is not described. Each schema has a closed one beside it, for
// CheckBody.
func closed(description []byte) ([]byte, error) {
	var document map[string]any
	if err := yaml.Unmarshal(description, &document); err != nil {
		return nil, fmt.Errorf("reading the description: %w", err)
	}
	components, _ := document["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	for name := range schemas {
		closeItems(schemas[name])
	}
	aliases := make(map[string]any, len(schemas))
	for name := range schemas {
		aliases[closedName(name)] = closedSchema(map[string]any{"$ref": "#/components/schemas/" + name})
	}
	for name, schema := range aliases {
		schemas[name] = schema
	}
	closeResponses(components["responses"])
	paths, _ := document["paths"].(map[string]any)
	for _, path := range paths {
		operations, _ := path.(map[string]any)
		for _, operation := range operations {
			if about, ok := operation.(map[string]any); ok {
				closeResponses(about["responses"])
			}
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing the description as JSON: %w", err)
	}
	return text, nil
}

func closedName(schema string) string { return "Closed." + schema }

// closedSchema wraps a schema, or a reference to one.
func closedSchema(schema any) map[string]any {
	return map[string]any{"allOf": []any{schema}, "unevaluatedProperties": false}
}

func closeResponses(responses any) {
	all, _ := responses.(map[string]any)
	for _, response := range all {
		about, _ := response.(map[string]any)
		content, _ := about["content"].(map[string]any)
		for _, media := range content {
			if of, ok := media.(map[string]any); ok && of["schema"] != nil {
				of["schema"] = closedSchema(of["schema"])
			}
		}
	}
}

// closeItems closes the elements of arrays, wherever they are in a schema.
func closeItems(schema any) {
	switch node := schema.(type) {
	case map[string]any:
		for name, value := range node {
			closeItems(value)
			if name == "items" {
				node[name] = closedSchema(value)
			}
		}
	case []any:
		for _, value := range node {
			closeItems(value)
		}
	}
}
