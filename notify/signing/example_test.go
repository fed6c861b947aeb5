package signing_test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"pushwatch/notify/signing"
)

// A consumer checks the body as it came, keeps the event under its id, and
// answers before it does anything slow.
func ExampleVerify() {
	key, err := signing.ParseKey(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Print(err) // it does not show the secret
		return
	}
	keys := []signing.Key{key}

	http.HandleFunc("POST /hooks/push", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "unreadable body", http.StatusBadRequest)
			return
		}
		err = signing.Verify(keys, r.Header, body, time.Now())
		switch {
		case errors.Is(err, signing.ErrTooOld), errors.Is(err, signing.ErrTooNew):
			log.Print("webhook refused: is this clock right?")
			fallthrough
		case err != nil:
			http.Error(w, "not genuine", http.StatusUnauthorized)
			return
		}
		// Store body under r.Header.Get(signing.HeaderID), unless it is there
		// already, and do the work later.
		w.WriteHeader(http.StatusNoContent)
	})
}
