package main

import (
	"context"
	"slices"

	rolloutsapi "github.com/akuity/kargo/api/stubs/rollouts/v1alpha1"
	kargoapi "github.com/akuity/kargo/api/v1alpha1"
	"github.com/akuity/kargo/pkg/expressions/function"
	"github.com/akuity/kargo/pkg/rollouts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// VerifyRequest asks how Kargo verifies a piece of Freight that was promoted into a Stage.
type VerifyRequest struct {
	Op
	Stage      kargoapi.Stage               `json:"stage"`
	Freight    kargoapi.Freight             `json:"freight"`
	Collection []kargoapi.Freight           `json:"collection"`
	Templates  []unstructured.Unstructured  `json:"templates"`
	Warehouses []kargoapi.Warehouse         `json:"warehouses"`
	Secrets    map[string]map[string]string `json:"secrets"`
}

// Verified is the answer: the AnalysisRun that Kargo creates, with the values of its arguments by name.
type Verified struct {
	Run  *rolloutsapi.AnalysisRun `json:"run"`
	Args map[string]string        `json:"args"`
}

// verify makes the AnalysisRun as Kargo's controller of Stages does, of the same parts.
func verify(ctx context.Context, request VerifyRequest) (any, error) {
	stage, target := request.Stage, request.Freight
	project := stage.Namespace
	target.Namespace = project
	templates, err := typed(request.Templates)
	if err != nil {
		return nil, err
	}
	objects := []client.Object{&stage, &target}
	all := []kargoapi.Freight{target}
	for _, freight := range request.Collection {
		freight.Namespace = project
		objects = append(objects, &freight)
		all = append(all, freight)
	}
	in := newCluster(slices.Concat(
		objects, templates, warehouses(project, request.Warehouses, all), secretsOf(project, request.Secrets),
	)...)
	freight := collect(stage, target, request.Collection)
	run, err := rollouts.NewAnalysisRunBuilder(in, rollouts.Config{}).Build(
		ctx, project, stage.Spec.Verification,
		rollouts.WithNamePrefix(stage.Name),
		rollouts.WithNameSuffix(freight.ID),
		rollouts.WithArgumentEvaluationConfig{
			Env: map[string]any{"ctx": map[string]any{"project": project, "stage": stage.Name}},
			Options: slices.Concat(
				function.DataOperations(ctx, in, nil, project),
				function.FreightOperations(ctx, in, project, stage.Spec.RequestedFreight, freight.References()),
				function.UtilityOperations(),
			),
			Vars: stage.Spec.Vars,
		},
	)
	if err != nil {
		return nil, err
	}
	answer := Verified{Run: run, Args: map[string]string{}}
	for _, argument := range run.Spec.Args {
		if argument.Value != nil {
			answer.Args[argument.Name] = *argument.Value
		}
	}
	return answer, nil
}
