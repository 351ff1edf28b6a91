package event

import (
	_ "embed"
	"slices"
)

//go:embed asyncapi.yaml
var asyncAPI []byte

// AsyncAPI gives the description of the records of the log and of the topic of
// decisions: AsyncAPI 3.0, as YAML.
func AsyncAPI() []byte { return slices.Clone(asyncAPI) }
