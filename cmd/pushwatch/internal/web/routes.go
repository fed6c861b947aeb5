package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"

	"pushwatch/cmd/pushwatch/internal/api"
)

// An apiServer serves the requests of the API.
type apiServer struct {
	Config
	auth    *authenticator
	routes  huma.API
	streams atomic.Int64 // open now
}

// handle registers an operation, with the tag in its path. It sets no limits on the body,
// which [bodies] has read.
func handle[I, O any](a *apiServer, op huma.Operation, serve func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1
	op.Tags = strings.Split(op.Path, "/")[2:3]
	huma.Register(a.routes, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := serve(ctx, in)
		return out, failure(ctx, a.Log, err)
	})
}

// handleJSON registers an operation whose answer has a JSON body.
func handleJSON[I, T any](a *apiServer, op huma.Operation, serve func(context.Context, *I) (T, error)) {
	type answer struct{ Body T }
	handle(a, op, func(ctx context.Context, in *I) (*answer, error) {
		body, err := serve(ctx, in)
		return &answer{body}, err
	})
}

// handleEmpty registers an operation whose answer has no body.
func handleEmpty[I any](a *apiServer, op huma.Operation, serve func(context.Context, *I) error) {
	handle(a, op, func(ctx context.Context, in *I) (*struct{}, error) { return nil, serve(ctx, in) })
}

// refuseRepeated is a middleware that refuses a query that repeats a parameter, unless the
// parameter is a list: it would be unclear which value counts.
func refuseRepeated(r huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		url := ctx.URL()
		query := url.Query()
		var faults []error
		for _, p := range ctx.Operation().Parameters {
			if values := query[p.Name]; p.In == "query" && p.Schema.Type != huma.TypeArray && len(values) > 1 {
				faults = append(faults, &api.Fault{Location: "query." + p.Name, Value: values[1], Message: fmt.Sprintf("want it once: it is given %d times", len(values))})
			}
		}
		if faults != nil {
			huma.WriteErr(r, ctx, http.StatusUnprocessableEntity, "the request is invalid", faults...)
			return
		}
		next(ctx)
	}
}
