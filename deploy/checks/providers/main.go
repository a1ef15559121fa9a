// A stand-in for the providers helm, kubernetes and random, which a registry of Terraform or OpenTofu serves.
//
// It has what deploy/terraform uses of their schemas, as of helm 3.1.1, kubernetes 2.38.0 and random 3.7.2, and
// touches nothing: what is applied is what was planned, with a text of the right form for whatever the real provider
// would make up. So validate, plan and apply evaluate every expression, condition and reference of the module.
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	configuration "github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// The name is in the program's own: terraform-provider-NAME_vVERSION.
func main() {
	name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-"), "_")
	open := func() provider.Provider { return &standIn{name} }
	options := providerserver.ServeOpts{Address: "registry.terraform.io/hashicorp/" + name}
	if err := providerserver.Serve(context.Background(), open, options); err != nil {
		log.Fatal(err)
	}
}

type standIn struct{ name string }

func (p *standIn) Metadata(_ context.Context, _ provider.MetadataRequest, r *provider.MetadataResponse) {
	r.TypeName = p.name
}

func (p *standIn) Schema(_ context.Context, _ provider.SchemaRequest, r *provider.SchemaResponse) {
	text := configuration.StringAttribute{Optional: true}
	cluster := map[string]configuration.Attribute{"config_path": text, "config_context": text}
	switch p.name {
	case "kubernetes":
		r.Schema.Attributes = cluster
	case "helm":
		r.Schema.Attributes = map[string]configuration.Attribute{
			"kubernetes": configuration.SingleNestedAttribute{Optional: true, Attributes: cluster},
		}
	}
}

func (p *standIn) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {
}

func (p *standIn) DataSources(context.Context) []func() datasource.DataSource { return nil }

func (p *standIn) Resources(context.Context) []func() resource.Resource {
	var all []func() resource.Resource
	for kind, its := range schemas {
		if strings.HasPrefix(kind, p.name+"_") {
			all = append(all, func() resource.Resource { return &thing{kind, its} })
		}
	}
	return all
}

// A resource of any kind.
type thing struct {
	kind   string
	schema schema.Schema
}

func (t *thing) Metadata(_ context.Context, _ resource.MetadataRequest, r *resource.MetadataResponse) {
	r.TypeName = t.kind
}

func (t *thing) Schema(_ context.Context, _ resource.SchemaRequest, r *resource.SchemaResponse) {
	r.Schema = t.schema
}

func (t *thing) Create(_ context.Context, q resource.CreateRequest, r *resource.CreateResponse) {
	r.State.Raw = known(q.Plan.Raw)
}

func (t *thing) Update(_ context.Context, q resource.UpdateRequest, r *resource.UpdateResponse) {
	r.State.Raw = known(q.Plan.Raw)
}

func (t *thing) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (t *thing) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// Puts a text in place of what was left to the provider.
func known(planned tftypes.Value) tftypes.Value {
	made, err := tftypes.Transform(planned, func(_ *tftypes.AttributePath, v tftypes.Value) (tftypes.Value, error) {
		if v.IsKnown() {
			return v, nil
		}
		return tftypes.NewValue(tftypes.String, "made-by-the-stand-in-for-a-provider"), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	return made
}
