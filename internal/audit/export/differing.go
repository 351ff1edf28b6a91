package export

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// differing gives the members of two values that differ, as text. The texts are
// equal where none does.
func differing(expected, found any) (string, string) {
	e, f := membersOf(expected), membersOf(found)
	for name := range f {
		if _, known := e[name]; !known {
			e[name] = "absent"
		}
	}
	var one, other []string
	for _, name := range slices.Sorted(maps.Keys(e)) {
		value, known := f[name]
		if !known {
			value = "absent"
		}
		if e[name] != value {
			one, other = append(one, name+" "+e[name]), append(other, name+" "+value)
		}
	}
	return strings.Join(one, ", "), strings.Join(other, ", ")
}

// membersOf gives a value's members as JSON, those of objects in it by the names
// of both.
func membersOf(value any) map[string]string {
	members := make(map[string]string)
	encoded, err := json.Marshal(value)
	if err != nil {
		return map[string]string{"": err.Error()}
	}
	flatten("", encoded, members)
	return members
}

func flatten(name string, value jsontext.Value, into map[string]string) {
	var members map[string]jsontext.Value
	if value.Kind() != '{' || json.Unmarshal(value, &members) != nil {
		into[name] = string(value)
		return
	}
	for member, of := range members {
		if name != "" {
			member = name + "." + member
		}
		flatten(member, of, into)
	}
}
