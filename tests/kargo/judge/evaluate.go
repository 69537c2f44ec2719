package main

import (
	"context"
	"encoding/json"
	"slices"

	kargoapi "github.com/akuity/kargo/api/v1alpha1"
	"github.com/akuity/kargo/pkg/expressions"
	"github.com/akuity/kargo/pkg/expressions/function"
	"github.com/akuity/kargo/pkg/promotion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// EvaluateRequest asks for a value with its expressions evaluated, as in the config, `if` or vars of a step.
type EvaluateRequest struct {
	Op
	Value      json.RawMessage              `json:"value"`
	Ctx        EvaluateContext              `json:"ctx"`
	Vars       map[string]any               `json:"vars"`
	Outputs    map[string]any               `json:"outputs"`
	Freight    []kargoapi.Freight           `json:"freight"`
	Secrets    map[string]map[string]string `json:"secrets"`
	Warehouses []kargoapi.Warehouse         `json:"warehouses"`
	Requests   []kargoapi.FreightRequest    `json:"requests"`
	Statuses   map[string]string            `json:"statuses"`
	Alias      string                       `json:"alias"`
}

// EvaluateContext is what an expression reads as `ctx`; freight is the one that is promoted.
type EvaluateContext struct {
	Project   string            `json:"project"`
	Stage     string            `json:"stage"`
	Promotion string            `json:"promotion"`
	Freight   *kargoapi.Freight `json:"freight"`
}

// Evaluated is the answer to an EvaluateRequest.
type Evaluated struct {
	Value any `json:"value"`
}

func evaluate(ctx context.Context, request EvaluateRequest) (any, error) {
	project := request.Ctx.Project
	freight := request.Freight
	state := promotion.Context{
		Project: project, Stage: request.Ctx.Stage, Promotion: request.Ctx.Promotion,
		State: promotion.State(request.Outputs),
	}
	if request.Ctx.Freight != nil {
		state.TargetFreightRef = reference(*request.Ctx.Freight)
		state.TargetFreightAlias = request.Ctx.Freight.Alias
		if !slices.ContainsFunc(freight, func(item kargoapi.Freight) bool {
			return item.Name == request.Ctx.Freight.Name
		}) {
			freight = append(freight, *request.Ctx.Freight)
		}
	}
	for alias, status := range request.Statuses {
		state.StepExecutionMetadata = append(state.StepExecutionMetadata, kargoapi.StepExecutionMetadata{
			Alias: alias, Status: kargoapi.PromotionStepStatus(status),
		})
	}
	references := make([]kargoapi.FreightReference, 0, len(freight))
	for _, item := range freight {
		references = append(references, reference(item))
	}
	requests := request.Requests
	if requests == nil {
		requests = requestsOf(freight)
	}
	cluster := newCluster(slices.Concat(
		secretsOf(project, request.Secrets), warehouses(project, request.Warehouses, freight),
	)...)
	current := state.SetCurrentStep(promotion.Step{Alias: request.Alias})
	current.WithStatus("")
	vars := request.Vars
	if vars == nil {
		vars = map[string]any{}
	}
	env := promotion.BuildExprEnv(
		state,
		promotion.ExprEnvWithStepMetas(state),
		promotion.ExprEnvWithOutputs(state.State),
		promotion.ExprEnvWithTaskOutputs(request.Alias, state.State),
		promotion.ExprEnvWithVars(vars),
	)
	template, err := json.Marshal(map[string]json.RawMessage{"value": request.Value})
	if err != nil {
		return nil, err
	}
	evaluated, err := expressions.EvaluateJSONTemplate(template, env, slices.Concat(
		function.FreightOperations(ctx, cluster, project, requests, references),
		function.DataOperations(ctx, cluster, nil, project),
		function.StatusOperations(request.Alias, state.StepExecutionMetadata),
		function.UtilityOperations(),
	)...)
	if err != nil {
		return nil, err
	}
	var answer Evaluated
	if err := json.Unmarshal(evaluated, &answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// warehouses are the given ones where any is given, otherwise those that the freight tells of.
func warehouses(project string, given []kargoapi.Warehouse, freight []kargoapi.Freight) []client.Object {
	if given == nil {
		return warehousesOf(project, freight)
	}
	objects := make([]client.Object, 0, len(given))
	for _, warehouse := range given {
		warehouse.Namespace = project
		objects = append(objects, &warehouse)
	}
	return objects
}
