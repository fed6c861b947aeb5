package tiwsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

const algorithm = "TC3-HMAC-SHA256"

// authorization is the content of an Authorization header:
//
//	TC3-HMAC-SHA256 Credential=<id>/<date>/<service>/tc3_request, SignedHeaders=<a;b>, Signature=<hex>
type authorization struct {
	secretID, date, service string
	signedHeaders           []string
	signature               string
}

// parseAuthorization reads the header. With an error it returns as much as it
// could read: the secret id decides whose limit the request counts against.
func parseAuthorization(header string) (authorization, *APIError) {
	var auth authorization
	malformed := refuse("AuthFailure.InvalidAuthorization", "the header Authorization is malformed")
	name, rest, _ := strings.Cut(header, " ")
	parts := strings.Split(rest, ",")
	if name != algorithm || len(parts) != 3 {
		return auth, malformed
	}
	values := make([]string, len(parts))
	for i, prefix := range []string{"Credential=", "SignedHeaders=", "Signature="} {
		value, ok := strings.CutPrefix(strings.TrimSpace(parts[i]), prefix)
		if !ok {
			return auth, malformed
		}
		values[i] = value
	}
	scope := strings.Split(values[0], "/")
	auth.secretID = scope[0]
	if len(scope) != 4 || scope[3] != "tc3_request" {
		return auth, malformed
	}
	auth.date, auth.service = scope[1], scope[2]
	auth.signedHeaders = strings.Split(values[1], ";")
	auth.signature = values[2]
	if !slices.IsSorted(auth.signedHeaders) ||
		!slices.Contains(auth.signedHeaders, "content-type") || !slices.Contains(auth.signedHeaders, "host") {
		return auth, refuse("AuthFailure.InvalidAuthorization", "SignedHeaders must be sorted and name content-type and host")
	}
	return auth, nil
}

// signature is what the Authorization header must carry for this request, by
// the algorithm of https://www.tencentcloud.com/document/product/267/37447.
func signature(r *http.Request, body []byte, timestamp string, auth authorization, secretKey string) string {
	var request strings.Builder
	request.WriteString(r.Method + "\n/\n\n") // for POST the path and query are fixed
	for _, name := range auth.signedHeaders {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host // net/http takes it out of the headers
		}
		request.WriteString(name + ":" + strings.ToLower(strings.TrimSpace(value)) + "\n")
	}
	request.WriteString("\n" + strings.Join(auth.signedHeaders, ";") + "\n" + hexSHA256(body))

	scope := auth.date + "/" + auth.service + "/tc3_request"
	toSign := strings.Join([]string{algorithm, timestamp, scope, hexSHA256([]byte(request.String()))}, "\n")

	key := []byte("TC3" + secretKey)
	for _, part := range []string{auth.date, auth.service, "tc3_request"} {
		key = hmacSHA256(key, part)
	}
	return hex.EncodeToString(hmacSHA256(key, toSign))
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}
