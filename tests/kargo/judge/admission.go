package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/akuity/kargo/pkg/webhook/kubernetes"
	"github.com/akuity/kargo/pkg/webhook/kubernetes/clusterpromotiontask"
	"github.com/akuity/kargo/pkg/webhook/kubernetes/freight"
	"github.com/akuity/kargo/pkg/webhook/kubernetes/project"
	"github.com/akuity/kargo/pkg/webhook/kubernetes/projectconfig"
	"github.com/akuity/kargo/pkg/webhook/kubernetes/promotion"
	"github.com/akuity/kargo/pkg/webhook/kubernetes/promotiontask"
	"github.com/akuity/kargo/pkg/webhook/kubernetes/stage"
	"github.com/akuity/kargo/pkg/webhook/kubernetes/warehouse"
	jsonpatchapply "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	jsonpatch "gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// controlPlane is the user as which Kargo's controllers create Promotions.
const controlPlane = "system:serviceaccount:kargo:kargo-controller"

// Admission is Kargo's server of admission webhooks, asked without a network.
type Admission struct {
	hooks   map[string]*admission.Webhook
	cluster *cluster
}

// A cluster that is another one at each request: a webhook keeps the client that it was set up with.
type cluster struct{ client.Client }

// hookManager is as much of a manager as the setting up of a webhook asks for.
type hookManager struct {
	ctrl.Manager
	server  *hookServer
	cluster *cluster
}

func (m *hookManager) GetClient() client.Client             { return m.cluster }
func (m *hookManager) GetScheme() *runtime.Scheme           { return kinds }
func (m *hookManager) GetConfig() *rest.Config              { return &rest.Config{} }
func (m *hookManager) GetLogger() logr.Logger               { return logr.Discard() }
func (m *hookManager) GetWebhookServer() ctrlwebhook.Server { return m.server }

// hookServer keeps what is registered by its path.
type hookServer struct {
	ctrlwebhook.Server
	hooks map[string]*admission.Webhook
}

func (s *hookServer) Register(path string, hook http.Handler) {
	s.hooks[path] = hook.(*admission.Webhook)
}
func (s *hookServer) WebhookMux() *http.ServeMux { return nil }

// newAdmission sets the webhooks up as Kargo's server of them does.
func newAdmission(ctx context.Context) (*Admission, error) {
	server := &hookServer{hooks: map[string]*admission.Webhook{}}
	held := &cluster{}
	manager := &hookManager{server: server, cluster: held}
	config := webhook.Config{
		KargoNamespace:        "kargo",
		ControlplaneUserRegex: regexp.MustCompile("^" + controlPlane + "$"),
	}
	for _, err := range []error{
		clusterpromotiontask.SetupWebhookWithManager(manager),
		freight.SetupWebhookWithManager(ctx, config, manager),
		project.SetupWebhookWithManager(manager, config),
		projectconfig.SetupWebhookWithManager(manager),
		promotion.SetupWebhookWithManager(ctx, config, manager),
		promotiontask.SetupWebhookWithManager(manager),
		stage.SetupWebhookWithManager(config, manager),
		warehouse.SetupWebhookWithManager(manager),
	} {
		if err != nil {
			return nil, err
		}
	}
	return &Admission{hooks: server.hooks, cluster: held}, nil
}

// mutate is the object as the mutating webhooks of its kind leave it when a user creates it in the cluster.
func (a *Admission) mutate(
	ctx context.Context, in client.Client, user string, object *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	response, raw, err := a.ask(ctx, in, "mutate", user, object)
	if err != nil || response == nil {
		return object, err
	}
	if len(response.Patches) == 0 {
		return object, nil
	}
	patched, err := apply(raw, response.Patches)
	if err != nil {
		return nil, err
	}
	mutated := &unstructured.Unstructured{}
	return mutated, mutated.UnmarshalJSON(patched)
}

// admit is nil where the validating webhooks of the object's kind let a user create it in the cluster.
func (a *Admission) admit(
	ctx context.Context, in client.Client, user string, object *unstructured.Unstructured,
) error {
	_, _, err := a.ask(ctx, in, "validate", user, object)
	return err
}

// ask puts one question to one webhook; no answer is that there is no such webhook, an error is its refusal.
func (a *Admission) ask(
	ctx context.Context, in client.Client, question string, user string, object *unstructured.Unstructured,
) (*admission.Response, []byte, error) {
	kind := object.GroupVersionKind()
	hook, registered := a.hooks[fmt.Sprintf(
		"/%s-%s-%s-%s",
		question, strings.ReplaceAll(kind.Group, ".", "-"), kind.Version, strings.ToLower(kind.Kind),
	)]
	if !registered {
		return nil, nil, nil
	}
	raw, err := object.MarshalJSON()
	if err != nil {
		return nil, nil, err
	}
	a.cluster.Client = in
	response := hook.Handle(ctx, admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID:       "judge",
		Kind:      v1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind},
		Name:      object.GetName(),
		Namespace: object.GetNamespace(),
		Operation: admissionv1.Create,
		UserInfo:  authenticationv1.UserInfo{Username: user, Groups: []string{"system:authenticated"}},
		Object:    runtime.RawExtension{Raw: raw},
	}})
	if !response.Allowed {
		return nil, nil, fmt.Errorf("%s", response.Result.Message)
	}
	return &response, raw, nil
}

// apply is a document with a webhook's patches.
func apply(document []byte, operations []jsonpatch.Operation) ([]byte, error) {
	encoded, err := json.Marshal(operations)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatchapply.DecodePatch(encoded)
	if err != nil {
		return nil, err
	}
	return patch.Apply(document)
}
