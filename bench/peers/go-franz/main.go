// The front door as one would write it in Go today: net/http, encoding/json, franz-go. The same work as `assay ingest`
// does for POST /feedback: strict fields, one record keyed by the request's id, the answer after the acknowledgement of
// all in-sync replicas. For bench/peers/run-front-door.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type body struct {
	IsCorrect *bool   `json:"is_correct"`
	Comment   *string `json:"comment"`
}

type source struct {
	Type string `json:"source_type"`
	ID   string `json:"source_id"`
}

type assessment struct {
	ID        string         `json:"assessment_id"`
	Name      string         `json:"assessment_name"`
	Source    source         `json:"source"`
	Created   string         `json:"create_time"`
	Updated   string         `json:"last_update_time"`
	Feedback  map[string]any `json:"feedback"`
	Rationale *string        `json:"rationale,omitempty"`
	Valid     bool           `json:"valid"`
}

type record struct {
	Version    int          `json:"v"`
	Op         string       `json:"op"`
	AcceptedAt string       `json:"accepted_at"`
	RequestID  string       `json:"client_request_id"`
	Items      []assessment `json:"items"`
}

type answer struct {
	Status       string `json:"status"`
	RequestID    string `json:"client_request_id"`
	AssessmentID string `json:"assessment_id"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	kafka := flag.String("kafka", "127.0.0.1:9092", "the broker")
	topic := flag.String("topic", "assay.feedback", "the topic")
	linger := flag.Duration("linger", 0, "how long a record may wait for company")
	flag.Parse()

	client, err := kgo.NewClient(kgo.SeedBrokers(*kafka), kgo.DefaultProduceTopic(*topic), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(*linger), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/feedback", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		id := query.Get("client_request_id")
		if r.Method != http.MethodPost || id == "" || len(id) > 250 {
			http.Error(w, "client_request_id is missing", http.StatusBadRequest)
			return
		}
		var said body
		decoder := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&said); err != nil || said.IsCorrect == nil {
			http.Error(w, "is_correct is missing", http.StatusUnprocessableEntity)
			return
		}
		var random [16]byte
		if _, err := rand.Read(random[:]); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		made := assessment{ID: "a-" + hex.EncodeToString(random[:]), Name: "user_feedback", Source: source{"HUMAN", query.Get("user_id")},
			Created: now, Updated: now, Feedback: map[string]any{"value": *said.IsCorrect}, Rationale: said.Comment, Valid: true}
		value, err := json.Marshal(record{1, "create", now, id, []assessment{made}})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		acknowledged := make(chan error, 1)
		client.Produce(r.Context(), &kgo.Record{Key: []byte(id), Value: value}, func(_ *kgo.Record, err error) { acknowledged <- err })
		if err := <-acknowledged; err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Assay-Durability", "kafka")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(answer{"accepted", id, made.ID})
	})
	log.Printf("event=listening address=%s", *listen)
	log.Fatal(http.ListenAndServe(*listen, nil))
}
