// Command oracle answers, with BuildKit's own packages, which images a build of a Dockerfile asks for.
//
// It reads one JSON request a line and writes one JSON answer a line. The image resolver records what it
// is asked for and never goes to the network.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

type request struct {
	Dockerfile []byte            `json:"dockerfile"`
	Args       map[string]string `json:"args"`
	Target     string            `json:"target"`
	Platform   string            `json:"platform"`
	// Word asks for the expansion of one word instead.
	Word   *string `json:"word"`
	Escape string  `json:"escape"`
	// Split asks for the words of a line instead, as heredocs are looked for.
	Split bool `json:"split"`
}

type answer struct {
	// ParseError is set where the file is refused before any stage is looked at.
	ParseError string   `json:"parseError"`
	Error      string   `json:"error"`
	Images     []string `json:"images"`
	AllError   string   `json:"allError"`
	AllImages  []string `json:"allImages"`
	Frontend   string   `json:"frontend"`
	Result     string   `json:"result"`
	Unmatched  []string `json:"unmatched"`
	Words      []string `json:"words"`
}

type recorder struct {
	mu     sync.Mutex
	images []string
}

func (r *recorder) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	platform := ""
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		platform = platforms.Format(platforms.Normalize(*opt.ImageOpt.Platform))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images = append(r.images, ref+" "+platform)
	config := fmt.Sprintf(`{"architecture":%q,"os":%q,"config":{}}`, opt.ImageOpt.Platform.Architecture, opt.ImageOpt.Platform.OS)
	return ref, "", []byte(config), nil
}

func convert(in request, all bool) (images []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	build := platforms.MustParse("linux/amd64")
	target := build
	if in.Platform != "" {
		target = platforms.Normalize(platforms.MustParse(in.Platform))
	}
	args := map[string]string{}
	for k, v := range in.Args {
		args[k] = v
	}
	seen := &recorder{}
	caps := pb.Caps.CapSet(pb.Caps.All())
	_, err = dockerfile2llb.Dockerfile2LLB(context.Background(), in.Dockerfile, dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{
			BuildArgs:      args,
			Target:         in.Target,
			BuildPlatforms: []ocispecs.Platform{build},
		},
		TargetPlatform: &target,
		MetaResolver:   seen,
		LLBCaps:        &caps,
		AllStages:      all,
	})
	slices.Sort(seen.images)
	return slices.Compact(seen.images), err
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func answerTo(in request) (out answer) {
	// BuildKit itself panics over some files: it refuses them too.
	defer func() {
		if r := recover(); r != nil {
			out = answer{ParseError: fmt.Sprintf("panic: %v", r)}
		}
	}()
	if in.Word != nil {
		env := []string{}
		for k, v := range in.Args {
			env = append(env, k+"="+v)
		}
		escape := '\\'
		if in.Escape != "" {
			escape = []rune(in.Escape)[0]
		}
		if in.Split {
			lexer := shell.NewLex(escape)
			lexer.RawQuotes = true
			lexer.RawEscapes = true
			lexer.SkipUnsetEnv = true
			words, err := lexer.ProcessWords(*in.Word, shell.EnvsFromSlice(nil))
			out.Error = message(err)
			out.Words = words
			return out
		}
		result, err := shell.NewLex(escape).ProcessWordWithMatches(*in.Word, shell.EnvsFromSlice(env))
		out.Error = message(err)
		out.Result = result.Result
		for name := range result.Unmatched {
			out.Unmatched = append(out.Unmatched, name)
		}
		slices.Sort(out.Unmatched)
		return out
	}
	if ref, _, _, ok := parser.DetectSyntax(in.Dockerfile); ok {
		out.Frontend = ref
	}
	parsed, err := parser.Parse(bytes.NewReader(in.Dockerfile))
	if err == nil {
		_, _, err = instructions.Parse(parsed.AST, linter.New(&linter.Config{Warn: func(string, string, string, string, []parser.Range) {}}))
	}
	if err != nil {
		out.ParseError = err.Error()
		return out
	}
	out.Images, err = convert(in, false)
	out.Error = message(err)
	out.AllImages, err = convert(in, true)
	out.AllError = message(err)
	return out
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var in request
			if err := json.Unmarshal(line, &in); err != nil {
				_ = out.Encode(answer{ParseError: "bad request: " + err.Error()})
			} else {
				_ = out.Encode(answerTo(in))
			}
		}
		if err != nil {
			return
		}
	}
}
