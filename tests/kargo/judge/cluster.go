package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	rollouts "github.com/akuity/kargo/api/stubs/rollouts/v1alpha1"
	kargoapi "github.com/akuity/kargo/api/v1alpha1"
	"github.com/akuity/kargo/pkg/indexer"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// The kinds that an API server knows by itself, Kargo's, and as much of Argo Rollouts' as Kargo knows.
var kinds = func() *runtime.Scheme {
	kinds := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(kinds))
	utilruntime.Must(kargoapi.AddToScheme(kinds))
	utilruntime.Must(rollouts.AddToScheme(kinds))
	return kinds
}()

// newCluster is an API server in memory that holds the given objects, with the indexes that Kargo's programs make, and
// that allows whoever asks.
func newCluster(objects ...client.Object) client.Client {
	return fake.NewClientBuilder().
		WithScheme(kinds).
		WithObjects(objects...).
		WithStatusSubresource(&kargoapi.Stage{}, &kargoapi.Freight{}, &kargoapi.Promotion{}).
		WithIndex(&kargoapi.Freight{}, indexer.FreightByWarehouseField, indexer.FreightByWarehouse).
		WithIndex(&kargoapi.Freight{}, indexer.FreightByCurrentStagesField, indexer.FreightByCurrentStages).
		WithIndex(&kargoapi.Freight{}, indexer.FreightByVerifiedStagesField, indexer.FreightByVerifiedStages).
		WithIndex(&kargoapi.Freight{}, indexer.FreightApprovedForStagesField, indexer.FreightApprovedForStages).
		WithIndex(&kargoapi.Stage{}, indexer.StagesByFreightField, indexer.StagesByFreight).
		WithInterceptorFuncs(interceptor.Funcs{Create: allow}).
		Build()
}

// allow creates an object; whether somebody may do something is answered by yes.
func allow(
	ctx context.Context, cluster client.WithWatch, object client.Object, options ...client.CreateOption,
) error {
	if review, asked := object.(*authorizationv1.SubjectAccessReview); asked {
		review.Status.Allowed = true
		return nil
	}
	return cluster.Create(ctx, object, options...)
}

// typed makes objects of documents, leaving out those of kinds that neither Kubernetes nor Kargo has.
func typed(documents []unstructured.Unstructured) ([]client.Object, error) {
	objects := make([]client.Object, 0, len(documents))
	for _, document := range documents {
		kind := document.GroupVersionKind()
		if !kinds.Recognizes(kind) {
			continue
		}
		object, err := kinds.New(kind)
		if err != nil {
			return nil, err
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(document.Object, object); err != nil {
			return nil, fmt.Errorf("existing %s %s: %w", kind.Kind, document.GetName(), err)
		}
		objects = append(objects, object.(client.Object))
	}
	return objects, nil
}

// secretsOf makes the Secrets of a namespace from their data by name; a Secret with a "repoURL" is one of git
// credentials, any other a generic one, as Kargo tells them apart by a label.
func secretsOf(namespace string, data map[string]map[string]string) []client.Object {
	secrets := make([]client.Object, 0, len(data))
	for _, name := range slices.Sorted(maps.Keys(data)) {
		kind := kargoapi.LabelValueCredentialTypeGeneric
		if _, git := data[name]["repoURL"]; git {
			kind = kargoapi.LabelValueCredentialTypeGit
		}
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace,
				Name:      name,
				Labels:    map[string]string{kargoapi.LabelKeyCredentialType: kind},
			},
			Data: make(map[string][]byte, len(data[name])),
		}
		for key, value := range data[name] {
			secret.Data[key] = []byte(value)
		}
		secrets = append(secrets, secret)
	}
	return secrets
}

// warehousesOf makes, for each origin of the freight, a Warehouse that subscribes to what the freight holds: Kargo
// looks into the Warehouses to find which origin an artifact without a named one comes from.
func warehousesOf(namespace string, freight []kargoapi.Freight) []client.Object {
	byName := map[string]*kargoapi.Warehouse{}
	seen := map[string]bool{}
	for _, item := range freight {
		name := item.Origin.Name
		warehouse, known := byName[name]
		if !known {
			warehouse = &kargoapi.Warehouse{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
			byName[name] = warehouse
		}
		subscribe := func(repository string, subscription kargoapi.RepoSubscription) {
			if key := name + " " + repository; !seen[key] {
				seen[key] = true
				warehouse.Spec.InternalSubscriptions = append(warehouse.Spec.InternalSubscriptions, subscription)
			}
		}
		for _, image := range item.Images {
			subscribe(image.RepoURL, kargoapi.RepoSubscription{
				Image: &kargoapi.ImageSubscription{RepoURL: image.RepoURL},
			})
		}
		for _, commit := range item.Commits {
			subscribe(commit.RepoURL, kargoapi.RepoSubscription{
				Git: &kargoapi.GitSubscription{RepoURL: commit.RepoURL},
			})
		}
	}
	warehouses := make([]client.Object, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		warehouses = append(warehouses, byName[name])
	}
	return warehouses
}

// requestsOf is what a Stage that takes freight of these origins requests.
func requestsOf(freight []kargoapi.Freight) []kargoapi.FreightRequest {
	var requests []kargoapi.FreightRequest
	for _, item := range freight {
		if !slices.ContainsFunc(requests, func(request kargoapi.FreightRequest) bool {
			return request.Origin.Equals(&item.Origin)
		}) {
			requests = append(requests, kargoapi.FreightRequest{
				Origin:  item.Origin,
				Sources: kargoapi.FreightSources{Direct: true},
			})
		}
	}
	return requests
}

// reference is a piece of Freight as a Promotion refers to it.
func reference(freight kargoapi.Freight) kargoapi.FreightReference {
	return kargoapi.FreightReference{
		Name:      freight.Name,
		Origin:    freight.Origin,
		Commits:   freight.Commits,
		Images:    freight.Images,
		Charts:    freight.Charts,
		Artifacts: freight.Artifacts,
	}
}
