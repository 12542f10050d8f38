// A reverse proxy on Go's standard library that verifies the token (once, then by its hash), its claims and the tool, and records each call.
package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

type settings struct {
	Listen, Upstream, Issuer, Audience, X, Y, Audit string
	Tools                                           []string
}

type claims struct {
	Iss, Aud, Sub, Scope string
	Exp, Nbf             int64
}

type proxy struct {
	settings
	key   *ecdsa.PublicKey
	tools map[string]bool
	known sync.Map
	next  *httputil.ReverseProxy
	mutex sync.Mutex
	audit *bufio.Writer
}

func decoded(text string) []byte {
	value, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return value
}

func (p *proxy) token(text string) *claims {
	digest := sha256.Sum256([]byte(text))
	if known, ok := p.known.Load(digest); ok {
		return known.(*claims)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil
	}
	var header struct{ Alg, Typ string }
	if json.Unmarshal(decoded(parts[0]), &header) != nil || header.Alg != "ES256" || header.Typ != "at+jwt" {
		return nil
	}
	signature := decoded(parts[2])
	if len(signature) != 64 {
		return nil
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	var found claims
	if !ecdsa.Verify(p.key, hash[:], r, s) || json.Unmarshal(decoded(parts[1]), &found) != nil {
		return nil
	}
	p.known.Store(digest, &found)
	return &found
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	caller := p.token(bearer)
	now := began.Unix()
	if !ok || caller == nil || caller.Iss != p.Issuer || caller.Aud != p.Audience || now >= caller.Exp || now < caller.Nbf {
		http.Error(w, "unauthorized", 401)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	var message struct {
		Method string
		Params struct{ Name string }
	}
	if err != nil || json.Unmarshal(body, &message) != nil {
		http.Error(w, "bad request", 400)
		return
	}
	if message.Method == "tools/call" && !p.tools[message.Params.Name] {
		http.Error(w, "forbidden", 403)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Del("Authorization")
	r.Header.Set("X-Mcp-User", caller.Sub)
	p.next.ServeHTTP(w, r)
	line, _ := json.Marshal(map[string]any{"subject": caller.Sub, "method": message.Method, "tool": message.Params.Name, "ms": time.Since(began).Seconds() * 1000})
	p.mutex.Lock()
	p.audit.Write(append(line, '\n'))
	p.mutex.Unlock()
}

func main() {
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	p := &proxy{tools: map[string]bool{}}
	if err := json.Unmarshal(raw, &p.settings); err != nil {
		log.Fatal(err)
	}
	for _, tool := range p.Tools {
		p.tools[tool] = true
	}
	p.key = &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(decoded(p.X)), Y: new(big.Int).SetBytes(decoded(p.Y))}
	file, err := os.Create(p.Audit)
	if err != nil {
		log.Fatal(err)
	}
	p.audit = bufio.NewWriter(file)
	target, err := url.Parse(p.Upstream)
	if err != nil {
		log.Fatal(err)
	}
	p.next = httputil.NewSingleHostReverseProxy(target)
	p.next.FlushInterval = -1
	p.next.Transport = &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, DisableCompression: true}
	log.Fatal(http.ListenAndServe(p.Listen, p))
}
