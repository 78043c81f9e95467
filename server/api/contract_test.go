package api

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/invite"
	"invited/server/session"
	"invited/server/tenant"
	"invited/tokens"
)

// document is what the tests look at of openapi.json.
type document struct {
	OpenAPI    string `json:"openapi"`
	Paths      map[string]map[string]operation
	Components struct {
		Parameters map[string]parameter
		Responses  map[string]any
		Schemas    map[string]schema
	}
}

type operation struct {
	ID          string `json:"operationId"`
	Summary     string
	Parameters  []parameter
	RequestBody any
	Responses   map[string]any
	Security    *[]any
}

type parameter struct {
	Ref      string `json:"$ref"`
	Name, In string
}

type schema struct {
	Properties map[string]any
	Required   []string
	Strict     *bool `json:"additionalProperties"`
}

func readContract(t *testing.T) document {
	t.Helper()
	var d document
	require.NoError(t, json.Unmarshal(contract, &d))
	return d
}

func TestContractNamesEveryRouteAndNoOther(t *testing.T) {
	d := readContract(t)
	require.Equal(t, "3.1.0", d.OpenAPI)
	var mounted, named []string
	for _, r := range newFake().handler().routes() {
		mounted = append(mounted, r.method+" "+base+r.path)
	}
	ids := map[string]bool{}
	for path, operations := range d.Paths {
		for method, o := range operations {
			named = append(named, strings.ToUpper(method)+" "+path)
			require.False(t, ids[o.ID], "operationId %q is used twice", o.ID)
			ids[o.ID] = true
			require.NotEmpty(t, o.Summary, path)
			require.Contains(t, o.Responses, "default", path)
		}
	}
	slices.Sort(mounted)
	slices.Sort(named)
	require.Equal(t, mounted, named)
}

func TestContractDescribesPathsAndBodies(t *testing.T) {
	d := readContract(t)
	braces := regexp.MustCompile(`\{(\w+)\}`)
	for path, operations := range d.Paths {
		for method, o := range operations {
			var declared, wanted []string
			for _, p := range o.Parameters {
				if p.Ref != "" {
					p = d.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
				}
				require.NotEmpty(t, p.Name, "%s %s", method, path)
				if p.In == "path" {
					declared = append(declared, p.Name)
				}
			}
			for _, m := range braces.FindAllStringSubmatch(path, -1) {
				wanted = append(wanted, m[1])
			}
			require.Equal(t, wanted, declared, "%s %s", method, path)
			require.Equal(t, method == "post" || method == "put", o.RequestBody != nil, "%s %s", method, path)
		}
	}
}

func TestContractReferencesResolve(t *testing.T) {
	d := readContract(t)
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`"#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(string(contract), -1) {
		used[m[1]+"/"+m[2]] = true
	}
	known := map[string]bool{}
	for name := range d.Components.Schemas {
		known["schemas/"+name] = true
	}
	for name := range d.Components.Parameters {
		known["parameters/"+name] = true
	}
	for name := range d.Components.Responses {
		known["responses/"+name] = true
	}
	require.Equal(t, known, used, "every component is used, and every used one exists")
}

func TestContractHasTheMembersOfTheCode(t *testing.T) {
	d := readContract(t)
	tests := []struct {
		schema string
		value  any
		strict bool // the body of a request
	}{
		{"Invitation", invitationJSON{}, false},
		{"User", userJSON{}, false},
		{"CreateInvitation", createRequest{}, true},
		{"Resend", resendRequest{}, true},
		{"Reset", resetRequest{}, true},
		{"Delivery", deliveryJSON{}, false},
		{"Attempt", attemptJSON{}, false},
		{"Outbox", outboxJSON{}, false},
		{"Alarm", alarmJSON{}, false},
		{"Filing", filingJSON{}, false},
		{"Event", eventJSON{}, false},
		{"Diagnosis", diagnosisJSON{}, false},
		{"Redemption", redemptionJSON{}, false},
		{"CreateCode", codeRequest{}, true},
		{"Code", codeJSON{}, false},
		{"CreatePreflight", preflightRequest{}, true},
		{"Preflight", preflightJSON{}, false},
		{"SignIn", signInJSON{}, false},
		{"Check", checkJSON{}, false},
		{"CreateRedemption", redemptionRequest{}, true},
		{"Home", homeJSON{}, false},
		{"PutHome", homeRequest{}, true},
		{"Policy", policyRequest{}, true},
		{"Policy", policyJSON{}, true},
		{"Named", namedJSON{}, false},
		{"CreateToken", tokenRequest{}, true},
		{"Token", tokenJSON{}, false},
		{"Key", keyJSON{}, false},
		{"Bounce", bounceJSON{}, false},
		{"Suppression", suppressionJSON{}, false},
		{"AddSuppression", suppressionRequest{}, true},
		{"AdvanceClock", clockRequest{}, true},
		{"Clock", clockJSON{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.schema, func(t *testing.T) {
			s, ok := d.Components.Schemas[tt.schema]
			require.True(t, ok)
			var got []string
			for name := range s.Properties {
				got = append(got, name)
			}
			require.ElementsMatch(t, members(reflect.TypeOf(tt.value)), got)
			for _, name := range s.Required {
				require.Contains(t, got, name)
			}
			require.Equal(t, tt.strict, s.Strict != nil && !*s.Strict)
		})
	}
	require.ElementsMatch(t, []string{"rule", "score", "why", "fix", "where"}, members(reflect.TypeOf(invite.Hit{})))
}

// members returns the JSON names of a struct.
func members(typ reflect.Type) []string {
	var out []string
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		out = append(out, name)
	}
	return out
}

func TestContractIsServed(t *testing.T) {
	w := newFake().call("GET", "/openapi.json", "", "Authorization", "")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, string(contract), w.Body.String())
}

func TestClockIsNoRouteUnlessAsked(t *testing.T) {
	h := newFake().handler()
	h.Advance = nil
	for _, r := range h.routes() {
		require.NotEqual(t, "/clock", r.path)
	}
}

// The services are what this face asks for.
var (
	_ Invitations = (*invite.Service)(nil)
	_ Tenants     = (*tenant.Service)(nil)
	_ Sessions    = (*session.Service)(nil)
	_ Keys        = (*tokens.Keyring)(nil)
)
