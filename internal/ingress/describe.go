package ingress

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/anteroomhq/anteroom/pkg/event"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI gives the description of everything that an ingress answers: OpenAPI
// 3.1, as YAML.
func OpenAPI() []byte { return slices.Clone(openAPI) }

// describe adds the calls that give the descriptions of this program's
// interfaces, each as it is written and as JSON.
func (i *Ingress) describe(e *echo.Echo) {
	for name, document := range map[string][]byte{"openapi": openAPI, "asyncapi": event.AsyncAPI()} {
		asJSON := sync.OnceValues(func() ([]byte, error) { return jsonOf(document) })
		e.GET("/"+name+".yaml", i.safely(func(c echo.Context) error {
			return answerDocument(c, yamlType, document)
		}))
		e.GET("/"+name+".json", i.safely(func(c echo.Context) error {
			text, err := asJSON()
			if err != nil {
				return err
			}
			return answerDocument(c, jsonType, text)
		}))
	}
}

func answerDocument(c echo.Context, kind []string, text []byte) error {
	response := c.Response()
	_ = http.NewResponseController(response.Writer).SetWriteDeadline(time.Now().Add(writeWait)) // none where there is no connection
	header := response.Header()
	header["Cache-Control"] = cacheDocuments
	header["Content-Type"] = kind
	response.WriteHeader(http.StatusOK)
	_, _ = response.Write(text) // where it fails nobody hears of it
	return nil
}

var (
	cacheDocuments = []string{"public, max-age=300"} // another version of the program may have others
	yamlType       = []string{"application/yaml"}    // RFC 9512
)

func jsonOf(document []byte) ([]byte, error) {
	var value any
	if err := yaml.Unmarshal(document, &value); err != nil {
		return nil, fmt.Errorf("reading a description: %w", err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("writing a description as JSON: %w", err)
	}
	return text, nil
}
