// Judge answers, in JSON lines, what Kargo itself makes of the manifests that Image Factory generates.
//
// It holds no rule of its own: every answer comes from the packages of github.com/akuity/kargo, so that a test
// holds our output against Kargo and not against our reading of it. One request a line on standard input, one
// answer a line on standard output, in order; a request that cannot be answered is answered by {"error": "…"}.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/akuity/kargo/pkg/logging"
	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// An operation answers one request, given as it came.
type operation func(context.Context, json.RawMessage) (any, error)

var operations = map[string]operation{
	"evaluate": answering(evaluate),
	"promote":  answering(promote),
	"validate": answering(validate),
	"verify":   answering(verify),
}

// answering makes an operation of a function with a typed request; an unknown key in a request is an error.
func answering[Request any](answer func(context.Context, Request) (any, error)) operation {
	return func(ctx context.Context, line json.RawMessage) (any, error) {
		var request Request
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
		return answer(ctx, request)
	}
}

// Op names the operation of a request; every request embeds it.
type Op struct {
	Op string `json:"op"`
}

// A failure is the answer where there is no other.
type failure struct {
	Error string `json:"error"`
}

func main() {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	ctx := logging.ContextWithLogger(context.Background(), logging.NewDiscardLoggerOrDie())
	err := serve(ctx, os.Stdin, os.Stdout)
	leaveNothing()
	if err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

// serve answers each line of requests until there are no more.
func serve(ctx context.Context, requests io.Reader, answers io.Writer) error {
	lines := bufio.NewReaderSize(requests, 1<<20)
	encoder := json.NewEncoder(answers)
	encoder.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := encoder.Encode(respond(ctx, line)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// respond answers one line; a panic in what is asked is that answer's error, not the end of the judge.
func respond(ctx context.Context, line []byte) (answer any) {
	defer func() {
		if reason := recover(); reason != nil {
			answer = failure{Error: fmt.Sprintf("panic: %v", reason)}
		}
	}()
	var op Op
	if err := json.Unmarshal(line, &op); err != nil {
		return failure{Error: fmt.Sprintf("request: %v", err)}
	}
	run, known := operations[op.Op]
	if !known {
		return failure{Error: fmt.Sprintf("unknown op %q", op.Op)}
	}
	answer, err := run(ctx, line)
	if err != nil {
		return failure{Error: err.Error()}
	}
	return answer
}
