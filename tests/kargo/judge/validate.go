package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kind "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ValidateRequest asks what an API server with Kargo says when somebody creates the object: its schemas, their rules,
// and the admission webhooks, which see what exists already.
type ValidateRequest struct {
	Op
	Object   unstructured.Unstructured   `json:"object"`
	Existing []unstructured.Unstructured `json:"existing"`
	// Folders of CustomResourceDefinitions; without any, those that came with the judge.
	CRDs []string `json:"crds"`
}

// Validated is the answer: what is wrong, and the object as it would be stored, with defaults.
type Validated struct {
	Problems []string       `json:"problems"`
	Object   map[string]any `json:"object"`
}

// A user who may do everything, and whom Kargo does not take for itself.
const somebody = "kubernetes-admin"

var kargoAdmission = sync.OnceValues(func() (*Admission, error) { return newAdmission(context.Background()) })

func validate(ctx context.Context, request ValidateRequest) (any, error) {
	known := map[kind.GroupVersionKind]*customKind{}
	folders := request.CRDs
	if folders == nil {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		folders = []string{filepath.Join(filepath.Dir(program), "crds")}
	}
	for _, folder := range folders {
		found, err := customKinds(folder)
		if err != nil {
			return nil, err
		}
		maps.Copy(known, found)
	}
	objects, err := typed(request.Existing)
	if err != nil {
		return nil, err
	}
	answer := Validated{Problems: []string{}}
	object := request.Object
	custom, isCustom := known[object.GroupVersionKind()]
	switch {
	case isCustom:
		err = validateCustom(ctx, &answer, custom, newCluster(objects...), &object)
	case kinds.Recognizes(object.GroupVersionKind()) && object.GroupVersionKind().Group != "argoproj.io":
		err = validateBuiltIn(&answer, &object)
	default:
		answer.Problems = append(answer.Problems, fmt.Sprintf("no kind %s is defined", object.GroupVersionKind()))
	}
	return answer, err
}

func validateCustom(
	ctx context.Context, answer *Validated, custom *customKind, in client.Client, object *unstructured.Unstructured,
) error {
	for _, unknown := range custom.admit(object.Object) {
		answer.Problems = append(answer.Problems, fmt.Sprintf("unknown field %q", unknown))
	}
	for _, problem := range metavalidation.ValidateObjectMetaAccessor(
		object, custom.namespaced, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"),
	) {
		answer.Problems = append(answer.Problems, problem.Error())
	}
	hooks, err := kargoAdmission()
	if err != nil {
		return err
	}
	if problems := custom.problems(ctx, object.Object); len(problems) > 0 {
		// A mutating webhook decodes the object before the schema is asked, so it may refuse first and with fewer
		// words: what the schema says is what a person needs.
		for _, problem := range problems {
			answer.Problems = append(answer.Problems, problem.Error())
		}
		return nil
	}
	mutated, err := hooks.mutate(ctx, in, somebody, object)
	if err != nil {
		answer.Problems = append(answer.Problems, err.Error())
		return nil
	}
	custom.admit(mutated.Object)
	answer.Object = mutated.Object
	for _, problem := range custom.problems(ctx, mutated.Object) {
		answer.Problems = append(answer.Problems, problem.Error())
	}
	if err := hooks.admit(ctx, in, somebody, mutated); err != nil {
		answer.Problems = append(answer.Problems, err.Error())
	}
	return nil
}

// validateBuiltIn decodes one of Kubernetes' own kinds strictly: an unknown field or a wrong type is a problem. What
// an API server checks beyond that is not asked here.
func validateBuiltIn(answer *Validated, object *unstructured.Unstructured) error {
	text, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, kinds, kinds, json.SerializerOptions{Strict: true})
	if _, _, err := decoder.Decode(text, nil, nil); err != nil {
		answer.Problems = append(answer.Problems, err.Error())
	}
	answer.Object = object.Object
	return nil
}
