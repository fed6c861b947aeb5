package web

import (
	"cmp"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"pushwatch/cmd/pushwatch/internal/api"
)

// describe returns the start of the OpenAPI description, and how requests are read.
func describe(version string) huma.Config {
	about := huma.DefaultConfig("pushwatch", cmp.Or(version, "unknown"))
	about.Info.Description = "Watches Tencent Cloud TIW whiteboard pushes and notifies when they stop or fail.\n\n" +
		"Errors are application/problem+json (RFC 9457) and name the wrong field. Every request may be repeated if its answer is lost. " +
		"Times are RFC 3339 in UTC. Unknown fields and parameters are refused."
	about.Tags = []*huma.Tag{
		{Name: "tasks", Description: "Registered pushes, which are watched."},
		{Name: "events", Description: "Observed changes, as the notifiers receive them."},
		{Name: "deliveries", Description: "Events on their way to notifiers."},
		{Name: "notifiers", Description: "The configured receivers of events."},
		{Name: "status", Description: "The state of polling and delivery."},
		{Name: "callbacks", Description: "TIW's own callbacks, used as hints."},
		{Name: "operation", Description: "Health and metrics."},
	}
	about.DocsPath, about.SchemasPath, about.CreateHooks = "", "", nil
	about.RejectUnknownQueryParameters = true
	about.Transformers = []huma.Transformer{clarify}
	about.Formats = map[string]huma.Format{"application/json": strictJSON, "json": strictJSON}
	about.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	about.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {
		Type: "http", Scheme: "bearer", Description: "A secret of [[http.tokens]] in the settings; with the role read, only GET is allowed. If the settings have no tokens, none is needed.",
	}}
	about.Security = []map[string][]string{{"token": {}}}
	return about
}

// schemaNames are the schema names that differ from their types'. They must not change,
// because generated clients use them.
var schemaNames = map[reflect.Type]string{
	reflect.TypeFor[api.Batch]():        "Register-tasksRequest",
	reflect.TypeFor[api.BatchResult]():  "BatchAnswerBody",
	reflect.TypeFor[api.CloudError]():   "ApiError",
	reflect.TypeFor[api.Deliveries]():   "DeliveriesAnswerBody",
	reflect.TypeFor[api.Event]():        "EventBody",
	reflect.TypeFor[api.Events]():       "EventsAnswerBody",
	reflect.TypeFor[api.Notifiers]():    "NotifiersAnswerBody",
	reflect.TypeFor[api.Outage]():       "Darkness",
	reflect.TypeFor[api.Replay]():       "Retry-deliveriesRequest",
	reflect.TypeFor[api.ReplayResult](): "ReplayAnswerBody",
	reflect.TypeFor[api.Tasks]():        "PageAnswerBody",
	reflect.TypeFor[api.TestResult]():   "TestAnswerBody",
}

func schemaName(t reflect.Type, hint string) string {
	named := t
	if named.Kind() == reflect.Pointer {
		named = named.Elem()
	}
	return cmp.Or(schemaNames[named], huma.DefaultSchemaNamer(t, hint))
}

// describeCallback describes the route of TIW's callbacks. It is not registered with huma,
// because it accepts anything that TIW sends.
func describeCallback(about *huma.OpenAPI) {
	schemas := about.Components.Schemas
	about.AddOperation(&huma.Operation{
		OperationID: "take-callback", Method: http.MethodPost, Path: callbackPath + "{sdk_app_id}", Tags: []string{"callbacks"},
		Summary:     "Accept a TIW callback as a hint",
		Description: "A known task is polled at once. The callback's contents are never trusted without a poll.",
		Security:    noToken,
		Parameters: []*huma.Param{{
			Name: "sdk_app_id", In: "path", Required: true, Description: "SdkAppId of a configured application.",
			Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64", Examples: []any{1400000001}},
		}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(reflect.TypeFor[api.Callback](), true, "")},
		}},
		Responses: map[string]*huma.Response{
			"200": {Description: "Accepted, or not understood: TIW would repeat it after any other answer."},
			"400": problemResponse(schemas, "The callback is empty."),
			"403": problemResponse(schemas, "Sign is missing, wrong or expired."),
			"404": problemResponse(schemas, "No account has this application."),
			"408": problemResponse(schemas, "The body did not arrive in time."),
			"413": problemResponse(schemas, "The body is larger than any callback."),
			"503": problemResponse(schemas, "The database does not answer, or too many bodies arrive at once: try again."),
		},
	})
}

// describeOperation describes the routes of health and metrics. They are not registered with
// huma, because their answers are text.
func describeOperation(about *huma.OpenAPI) {
	schemas := about.Components.Schemas
	text := func(description, example string) *huma.Response {
		return &huma.Response{Description: description, Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{example}}},
		}}
	}
	probe := func(id, path, summary, well, fault string) {
		about.AddOperation(&huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"operation"}, Summary: summary, Security: noToken,
			Responses: map[string]*huma.Response{"200": text(well, "ok\n"), "503": problemResponse(schemas, fault)},
		})
	}
	probe("get-health", "/healthz", "Check whether the process is alive",
		"The process is alive.", "The process is stuck and should be restarted.")
	probe("get-readiness", "/readyz", "Check whether the process can serve requests",
		"The process can serve requests.", "The process cannot serve requests now, with the reason.")
	about.AddOperation(&huma.Operation{
		OperationID: "get-metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"operation"},
		Summary: "Get metrics for Prometheus",
		Responses: map[string]*huma.Response{
			"200":     text("All metrics in Prometheus' text format.", "pushwatch_build_info{version=\"1.4.0\"} 1\n"),
			"default": problemResponse(schemas, "Error"),
		},
	})
}

// noToken marks a route that needs no token; see [public].
var noToken = []map[string][]string{}

func problemResponse(schemas huma.Registry, description string) *huma.Response {
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{
		api.ProblemType: {Schema: schemas.Schema(reflect.TypeFor[api.Problem](), true, "")},
	}}
}
