package ingress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/anteroomhq/anteroom/internal/ingress/ingresstest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// contract is read once: it takes as long as many tests.
var contract = sync.OnceValues(func() (*ingresstest.Contract, error) { return ingresstest.New(OpenAPI()) })

func description(t testing.TB) *ingresstest.Contract {
	t.Helper()
	c, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// asDescribed gives a check, for after the call, that the recorder got what
// openapi.yaml describes.
func asDescribed(t testing.TB, r *http.Request, recorder *httptest.ResponseRecorder) (check func()) {
	t.Helper()
	c := description(t)
	var body []byte
	if r.Body != nil && r.Body != http.NoBody {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return func() {} // a body that cannot be read is not described
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return func() {
		t.Helper()
		answer := ingresstest.Answer{Code: recorder.Code, Header: recorder.Header(), Body: recorder.Body.Bytes()}
		answer.Stream = strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream")
		if err := c.Check(r, body, answer); err != nil {
			t.Error(err)
		}
	}
}

// TestCallsAreDescribed: the document has the calls that there are, and no other.
func TestCallsAreDescribed(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, _ *world, i *Ingress) {
		var served, described []string
		for _, route := range i.calls().Routes() {
			served = append(served, route.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.Path, "{$1}"))
		}
		for path, item := range description(t).Document().Paths.Map() {
			for method := range item.Operations() {
				described = append(described, method+" "+path)
			}
		}
		same(t, "calls", served, described)
	})
}

// TestRefusalsAreDescribed: each row of the table has a schema, and each schema a
// row.
func TestRefusalsAreDescribed(t *testing.T) {
	t.Parallel()
	var program, document []string
	row := func(kind, title any, status any, code any) string { return fmt.Sprintln(kind, title, status, code) }
	for _, r := range refusals {
		program = append(program, row("urn:anteroom:problem:"+r.code, r.title, r.status, r.code))
	}
	for name, schema := range description(t).Document().Components.Schemas {
		if !strings.HasPrefix(name, "Problem") || name == "Problem" {
			continue
		}
		of := schema.Value.AllOf[1].Value.Properties
		document = append(document, row(of["type"].Value.Const, of["title"].Value.Const, of["status"].Value.Const, of["code"].Value.Const))
	}
	same(t, "problems", program, document)
}

// TestNamesAreDescribed compares lists of names with the core's constants.
func TestNamesAreDescribed(t *testing.T) {
	t.Parallel()
	for schema, kind := range map[string]string{"State": "State", "Reason": "Reason", "Stage": "Stage", "Policy": "Policy", "SaleState": "Stage"} {
		program := constants(t, filepath.Join("..", "..", "pkg", "sale"), kind)
		if schema == "SaleState" {
			program = append(program, stateSoldOut)
		}
		var document []string
		for _, name := range named(t, schema).Enum {
			document = append(document, name.(string))
		}
		same(t, schema, program, document)
	}
	if state := named(t, "UndecidedSale").AllOf[1].Value.Properties["state"].Value.Const; state != stateUndecided {
		t.Errorf("an undecided sale is %v", state)
	}
}

// TestMembersAreDescribed compares the members of bodies and answers with the
// program's types, and what is required with what is never left out.
func TestMembersAreDescribed(t *testing.T) {
	t.Parallel()
	for schema, of := range map[string]any{
		"Status": status{}, "Product": productAnswer{}, "SaleMembers": saleAnswer{}, "Request": requestAnswer{}, "Why": whyBody{},
		"NewSale": struct {
			Product sale.Product `json:"product"`
			settingsBody
			Partition *int32 `json:"partition"`
			whyBody
		}{},
		"SaleChange": struct {
			settingsBody
			whyBody
		}{},
	} {
		members, always := membersOf(reflect.TypeOf(of))
		described := named(t, schema)
		var document []string
		for name := range described.Properties {
			document = append(document, name)
		}
		same(t, "members of "+schema, members, document)
		if described.AdditionalProperties.Has == nil { // else it is a body of a request
			same(t, "what is never left out of "+schema, always, described.Required)
		}
	}
}

func membersOf(of reflect.Type) (members, always []string) {
	for n := range of.NumField() {
		field := of.Field(n)
		tag, tagged := field.Tag.Lookup("json")
		if !tagged {
			more, also := membersOf(field.Type)
			members, always = append(members, more...), append(always, also...)
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		members = append(members, name)
		if options == "" {
			always = append(always, name)
		}
	}
	return members, always
}

// TestBoundsAreDescribed compares numbers with the program's.
func TestBoundsAreDescribed(t *testing.T) {
	t.Parallel()
	property := func(schema, name string) *openapi3.Schema {
		of := named(t, schema).Properties[name]
		if of == nil {
			t.Fatalf("%s has no %s", schema, name)
		}
		return of.Value
	}
	most := func(s *openapi3.Schema) any { return *s.Max }
	longest := func(s *openapi3.Schema) any { return float64(*s.MaxLength) }
	def := func(name string) any { return property("NewSale", name).Default }
	limit := description(t).Document().Paths.Value("/v1/sales/{product}/requests").Get.Parameters.GetByInAndName("query", "limit").Schema.Value
	for what, pair := range map[string]struct {
		document any
		program  any
	}{
		"quantity":                     {most(named(t, "Quantity")), float64(sale.MaxQuantity)},
		"hold_seconds":                 {most(named(t, "HoldSeconds")), float64(sale.MaxHoldSeconds)},
		"admit_per_second":             {most(property("NewSale", "admit_per_second")), float64(sale.MaxPerSecond)},
		"admit_per_second, changed":    {most(property("SaleChange", "admit_per_second")), float64(sale.MaxPerSecond)},
		"max_active_holds":             {most(property("NewSale", "max_active_holds")), float64(sale.MaxQuantity)},
		"waitlist_capacity":            {most(property("NewSale", "waitlist_capacity")), float64(sale.MaxQuantity)},
		"checkout_url":                 {longest(property("NewSale", "checkout_url")), float64(sale.MaxURL)},
		"actor":                        {longest(named(t, "Actor")), float64(maxActor)},
		"reason":                       {longest(named(t, "Cause")), float64(maxReason)},
		"payment_reference":            {property("Confirmation", "payment_reference").Pattern, fmt.Sprintf("^[!-~]{1,%d}$", maxPayment)},
		"limit":                        {most(limit), float64(maxPage)},
		"limit, left out":              {limit.Default, float64(defaultPage)},
		"hold_seconds, left out":       {def("hold_seconds"), float64(defaultHoldSeconds)},
		"per_buyer_limit, left out":    {def("per_buyer_limit"), float64(defaultPerBuyerLimit)},
		"quantity of one, left out":    {def("max_quantity_per_request"), float64(defaultMaxQuantity)},
		"policy, left out":             {def("policy"), string(defaultPolicy)},
		"a page":                       {float64(*property("RequestList", "requests").MaxItems), float64(maxPage)},
		"a body, in words":             {strings.Contains(description(t).Document().Info.Description, strconv.Itoa(maxBody)+" bytes"), true},
		"max_hold_seconds, in words":   {strings.Contains(property("NewSale", "max_hold_seconds").Description, strconv.Itoa(defaultMaxHoldSeconds)), true},
		"waitlist_capacity, in words":  {strings.Contains(property("NewSale", "waitlist_capacity").Description, "at least "+strconv.Itoa(defaultCapacity)), true},
		"a checkout's token, in words": {strings.Contains(description(t).Document().Paths.Value("/.well-known/jwks.json").Get.Description, checkoutParameter), true},
	} {
		if pair.document != pair.program {
			t.Errorf("%s: the document has %v, the program %v", what, pair.document, pair.program)
		}
	}
}

// TestDescriptionsAreServed: whoever asks is given the documents as they are
// written, and as JSON.
func TestDescriptionsAreServed(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, _ *world, i *Ingress) {
		for name, document := range map[string][]byte{"/openapi": OpenAPI(), "/asyncapi": event.AsyncAPI()} {
			var got [2]any
			for n, kind := range []string{".yaml", ".json"} {
				r := request("GET", name+kind, "", nil)
				recorder := httptest.NewRecorder()
				check := asDescribed(t, r, recorder)
				i.Handler().ServeHTTP(recorder, r)
				check()
				if recorder.Code != http.StatusOK || recorder.Header().Get("Content-Type") != "application/"+kind[1:] {
					t.Fatalf("%s%s: %d %v", name, kind, recorder.Code, recorder.Header())
				}
				var err error
				if kind == ".json" {
					err = json.Unmarshal(recorder.Body.Bytes(), &got[n])
				} else {
					err = yaml.Unmarshal(recorder.Body.Bytes(), &got[n])
					if !bytes.Equal(recorder.Body.Bytes(), document) {
						t.Errorf("%s%s is not as it is written", name, kind)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			written, err := json.Marshal(got[0])
			if err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(got[1])
			if err != nil || len(written) < 1000 || len(written) != len(again) {
				t.Errorf("%s: %d bytes, as JSON %d, %v", name, len(written), len(again), err)
			}
		}
	})
}

func named(t *testing.T, schema string) *openapi3.Schema {
	t.Helper()
	of := description(t).Document().Components.Schemas[schema]
	if of == nil {
		t.Fatalf("there is no schema %s", schema)
	}
	return of.Value
}

// same compares two lists in any order.
func same(t *testing.T, what string, program, document []string) {
	t.Helper()
	slices.Sort(program)
	slices.Sort(document)
	if diff := cmp.Diff(program, document); diff != "" {
		t.Errorf("%s (-program +document):\n%s", what, diff)
	}
}

// constants gives the texts of a package's constants of a type.
func constants(t *testing.T, folder, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || strings.HasSuffix(file, "_test.go") {
				return true
			}
			of, ok := spec.Type.(*ast.Ident)
			if !ok || of.Name != kind || len(spec.Values) != 1 {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, text)
			}
			return true
		})
	}
	return texts
}
