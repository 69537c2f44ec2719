package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	kind "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// A customKind is what an API server holds of one version of a CustomResourceDefinition.
type customKind struct {
	namespaced bool
	structural *schema.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator
}

// Read once for each folder: compiling the rules takes longer than all the questions of a test.
var customKindsOf = struct {
	sync.Mutex
	folders map[string]map[kind.GroupVersionKind]*customKind
}{folders: map[string]map[kind.GroupVersionKind]*customKind{}}

// customKinds are the kinds that the CustomResourceDefinitions of a folder, and of those below it, define.
func customKinds(folder string) (map[kind.GroupVersionKind]*customKind, error) {
	customKindsOf.Lock()
	defer customKindsOf.Unlock()
	if known, read := customKindsOf.folders[folder]; read {
		return known, nil
	}
	found := map[kind.GroupVersionKind]*customKind{}
	err := filepath.WalkDir(folder, func(file string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := readDefinitions(text, found); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	customKindsOf.folders[folder] = found
	return found, nil
}

func readDefinitions(text []byte, into map[kind.GroupVersionKind]*customKind) error {
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 1<<16)
	for {
		var definition apiextensionsv1.CustomResourceDefinition
		if err := documents.Decode(&definition); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if definition.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, version := range definition.Spec.Versions {
			known, err := newCustomKind(version.Schema.OpenAPIV3Schema)
			if err != nil {
				return fmt.Errorf("%s: %w", definition.Name, err)
			}
			known.namespaced = definition.Spec.Scope == apiextensionsv1.NamespaceScoped
			into[kind.GroupVersionKind{
				Group: definition.Spec.Group, Version: version.Name, Kind: definition.Spec.Names.Kind,
			}] = known
		}
	}
}

func newCustomKind(written *apiextensionsv1.JSONSchemaProps) (*customKind, error) {
	properties := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		written, properties, nil,
	); err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(properties)
	if err != nil {
		return nil, err
	}
	values, _, err := validation.NewSchemaValidator(properties)
	if err != nil {
		return nil, err
	}
	return &customKind{
		structural: structural,
		values:     values,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// admit leaves an object as an API server stores it: without unknown fields, which are returned, and with defaults.
func (k *customKind) admit(object map[string]any) (unknown []string) {
	unknown = pruning.PruneWithOptions(object, k.structural, true, schema.UnknownFieldPathOptions{
		TrackUnknownFieldPaths: true,
	})
	defaulting.PruneNonNullableNullsWithoutDefaults(object, k.structural)
	defaulting.Default(object, k.structural)
	slices.Sort(unknown)
	return unknown
}

// problems are what the schema and its rules say against an object that is about to be stored.
func (k *customKind) problems(ctx context.Context, object map[string]any) field.ErrorList {
	found := validation.ValidateCustomResource(nil, object, k.values)
	found = append(found, objectmeta.Validate(nil, object, k.structural, false)...)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, k.structural, object)...)
	if len(found) > 0 {
		return found // an API server asks the rules of values of the right type alone
	}
	broken, _ := k.rules.Validate(
		ctx, nil, k.structural, runtime.DeepCopyJSON(object), nil, celconfig.RuntimeCELCostBudget,
	)
	return broken
}
