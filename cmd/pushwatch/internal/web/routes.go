package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"pushwatch/cmd/pushwatch/internal/api"
)

// An answer is a response with a JSON body.
type answer[T any] struct{ Body T }

// handle registers an operation. It sets no limits on the body, which [bodies] has read.
func handle[I, O any](r huma.API, op huma.Operation, serve func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1
	huma.Register(r, op, serve)
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
