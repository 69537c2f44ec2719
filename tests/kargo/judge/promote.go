package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	kargoapi "github.com/akuity/kargo/api/v1alpha1"
	"github.com/akuity/kargo/pkg/controller/git"
	"github.com/akuity/kargo/pkg/credentials"
	credentialsdb "github.com/akuity/kargo/pkg/credentials/kubernetes"
	"github.com/akuity/kargo/pkg/promotion"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	// What Kargo's controller registers when it starts: the promotion steps and the kinds of git credentials.
	_ "github.com/akuity/kargo/pkg/credentials/basic"
	_ "github.com/akuity/kargo/pkg/promotion/runner/builtin"
)

// PromoteRequest asks for one promotion of a piece of Freight into a Stage, from its creation to its end.
type PromoteRequest struct {
	Op
	Stage   kargoapi.Stage   `json:"stage"`
	Freight kargoapi.Freight `json:"freight"`
	// Freight of the Stage's other origins that earlier Promotions brought.
	Collection   []kargoapi.Freight           `json:"collection"`
	Tasks        []unstructured.Unstructured  `json:"tasks"`
	Warehouses   []kargoapi.Warehouse         `json:"warehouses"`
	Secrets      map[string]map[string]string `json:"secrets"`
	SharedSecret map[string]map[string]string `json:"sharedSecrets"`
	// Prefixes of git URLs and what git asks instead of each, as its url.<base>.insteadOf.
	Rewrite map[string]string `json:"rewrite"`
	// Whether Kargo is set up to send credentials over http://, which it is not by default.
	CredentialsOverHTTP bool `json:"credentialsOverHTTP"`
	// Seconds to go on while a step waits for something outside; without any, the answer is then "Running".
	Patience float64 `json:"patience"`
}

// Promoted is the answer: the Promotion's end, that of each of its steps (tasks inflated), and what they left.
type Promoted struct {
	Phase           string         `json:"phase"`
	Message         string         `json:"message"`
	Promotion       string         `json:"promotion"`
	Steps           []PromotedStep `json:"steps"`
	Outputs         map[string]any `json:"outputs"`
	StageMetadata   map[string]any `json:"stageMetadata"`
	FreightMetadata map[string]any `json:"freightMetadata"`
}

// PromotedStep is the end of one step.
type PromotedStep struct {
	Alias   string `json:"alias"`
	Uses    string `json:"uses"`
	Status  string `json:"status"`
	Message string `json:"message"`
	Errors  uint32 `json:"errors"`
}

const (
	sharedNamespace = "kargo-shared-resources"
	// A step that fails is tried again at once as often as its retry says; this is only against no end.
	attempts = 200
)

func promote(ctx context.Context, request PromoteRequest) (any, error) {
	stage := request.Stage
	project := stage.Namespace
	target := request.Freight
	target.Namespace = project
	in, err := promotionCluster(project, &stage, &target, request)
	if err != nil {
		return nil, err
	}
	promo, err := createPromotion(ctx, in, &stage, &target)
	if err != nil {
		return Promoted{Phase: "NotCreated", Message: err.Error(), Steps: []PromotedStep{}}, nil
	}
	if err := rewriteGit(request.Rewrite); err != nil {
		return nil, err
	}
	promo.Status.Freight = ptr(reference(target))
	promo.Status.FreightCollection = collect(stage, target, request.Collection)
	room, err := os.MkdirTemp("", "promotion-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(room)
	engine := promotion.NewLocalEngine(
		in, nil,
		credentialsdb.NewDatabase(in, nil, credentials.DefaultProviderRegistry, credentialsdb.DatabaseConfig{
			SharedResourcesNamespace: sharedNamespace, AllowCredentialsOverHTTP: request.CredentialsOverHTTP,
		}),
		promotion.NewGitUserResolver(in, "kargo", git.User{Name: "Kargo", Email: "no-reply@kargo.io"}),
		promotion.DefaultExprDataCacheFn,
	)
	steps := promotion.NewSteps(promo)
	result, failed := run(ctx, engine, promo, &stage, target, room, steps, request.Patience)
	answer := Promoted{
		Phase: string(result.Status), Message: result.Message, Promotion: promo.Name,
		Outputs: result.State, Steps: []PromotedStep{},
	}
	if failed != nil && answer.Message == "" {
		answer.Message = failed.Error()
	}
	for index, meta := range result.StepExecutionMetadata {
		answer.Steps = append(answer.Steps, PromotedStep{
			Alias: meta.Alias, Uses: steps[index].Kind, Status: string(meta.Status), Message: meta.Message,
			Errors: meta.ErrorCount,
		})
	}
	return answer, metadata(ctx, in, &stage, &target, &answer)
}

// promotionCluster holds what a Promotion and its steps look up.
func promotionCluster(
	project string, stage *kargoapi.Stage, target *kargoapi.Freight, request PromoteRequest,
) (client.Client, error) {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: project, Labels: map[string]string{kargoapi.LabelKeyProject: kargoapi.LabelValueTrue},
		}},
		&kargoapi.Project{ObjectMeta: metav1.ObjectMeta{Name: project}},
		stage, target,
	}
	for _, freight := range request.Collection {
		freight.Namespace = project
		objects = append(objects, &freight)
	}
	tasks, err := typed(request.Tasks)
	if err != nil {
		return nil, err
	}
	return newCluster(slices.Concat(
		objects, tasks,
		warehouses(project, request.Warehouses, append([]kargoapi.Freight{*target}, request.Collection...)),
		secretsOf(project, request.Secrets), secretsOf(sharedNamespace, request.SharedSecret),
	)...), nil
}

// createPromotion is the Promotion as Kargo's webhooks make it when its controller creates one: with the Stage's vars
// and steps, tasks inflated. An error is their refusal.
func createPromotion(
	ctx context.Context, in client.Client, stage *kargoapi.Stage, target *kargoapi.Freight,
) (*kargoapi.Promotion, error) {
	hooks, err := kargoAdmission()
	if err != nil {
		return nil, err
	}
	asked := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kargoapi.GroupVersion.String(),
		"kind":       "Promotion",
		"metadata":   map[string]any{"namespace": stage.Namespace, "name": "asked"},
		"spec":       map[string]any{"stage": stage.Name, "freight": target.Name},
	}}
	created, err := hooks.mutate(ctx, in, controlPlane, asked)
	if err != nil {
		return nil, err
	}
	if err := hooks.admit(ctx, in, controlPlane, created); err != nil {
		return nil, err
	}
	promo := &kargoapi.Promotion{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(created.Object, promo); err != nil {
		return nil, err
	}
	return promo, nil
}

// collect is the Freight that a Promotion's steps see: what its Stage still requests of other origins, and its own.
func collect(
	stage kargoapi.Stage, target kargoapi.Freight, inherited []kargoapi.Freight,
) *kargoapi.FreightCollection {
	collection := &kargoapi.FreightCollection{}
	for _, request := range stage.Spec.RequestedFreight {
		for _, freight := range inherited {
			if request.Origin.Equals(&freight.Origin) {
				collection.UpdateOrPush(reference(freight))
			}
		}
	}
	collection.UpdateOrPush(reference(target))
	return collection
}

// run takes a Promotion as far as it goes, as Kargo's controller does at each reconciliation.
func run(
	ctx context.Context, engine promotion.Engine, promo *kargoapi.Promotion, stage *kargoapi.Stage,
	target kargoapi.Freight, room string, steps []promotion.Step, patience float64,
) (promotion.Result, error) {
	state := promotion.NewContext(
		promo, stage, promotion.WithTargetFreightAlias(target.Alias), promotion.WithWorkDir(room),
	)
	deadline := time.Now().Add(time.Duration(patience * float64(time.Second)))
	for attempt := 1; ; attempt++ {
		result, err := engine.Promote(ctx, state, steps)
		if result.Status != kargoapi.PromotionPhaseRunning || attempt == attempts {
			return result, err
		}
		if err == nil { // a step waits for Kargo to look again, rather than tries again
			if time.Now().After(deadline) {
				return result, nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		state.StartFromStep = result.CurrentStep
		state.StepExecutionMetadata = result.StepExecutionMetadata
		state.State = result.State
	}
}

// metadata reads what the steps set on the Stage and the Freight.
func metadata(
	ctx context.Context, in client.Client, stage *kargoapi.Stage, target *kargoapi.Freight, answer *Promoted,
) error {
	for _, object := range []client.Object{stage, target} {
		if err := in.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return fmt.Errorf("reading back %s: %w", object.GetName(), err)
		}
	}
	answer.StageMetadata = map[string]any{}
	for key, value := range stage.Status.Metadata {
		answer.StageMetadata[key] = value
	}
	answer.FreightMetadata = map[string]any{}
	for key, value := range target.Status.Metadata {
		answer.FreightMetadata[key] = value
	}
	return nil
}

// Kargo gives git a home of its own and no environment, so the rules of rewriting go into what git takes for the
// system's configuration, by a script of its name that is found before it. That also asks the password of a program
// beside it, which Kargo's image has at a place of the system.
var gitConfiguration = sync.OnceValues(func() (string, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return "", err
	}
	room, err := os.MkdirTemp("", "judge-git-")
	if err != nil {
		return "", err
	}
	configuration, helper := filepath.Join(room, "gitconfig"), filepath.Join(room, "credential-helper")
	for file, text := range map[string]string{
		filepath.Join(room, "git"): fmt.Sprintf(
			"#!/bin/sh\n[ -z \"$GIT_ASKPASS\" ] || export GIT_ASKPASS=%s\nGIT_CONFIG_SYSTEM=%s exec %s \"$@\"\n",
			quoted(helper), quoted(configuration), quoted(git),
		),
		helper: "#!/bin/sh\nprintf '%s\\n' \"$GIT_PASSWORD\"\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			return "", err
		}
	}
	return configuration, os.Setenv("PATH", room+string(os.PathListSeparator)+os.Getenv("PATH"))
})

// leaveNothing removes what rewriting left in the folder of temporary files.
func leaveNothing() {
	if file, err := gitConfiguration(); err == nil {
		os.RemoveAll(filepath.Dir(file))
	}
}

// rewriteGit makes git ask other places than those whose URLs begin with the given prefixes, until it is called again.
func rewriteGit(places map[string]string) error {
	file, err := gitConfiguration()
	if err != nil {
		return err
	}
	var text strings.Builder
	for prefix, place := range places {
		fmt.Fprintf(&text, "[url %q]\n\tinsteadOf = %q\n", place, prefix)
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}

func quoted(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func ptr[T any](value T) *T {
	return &value
}
