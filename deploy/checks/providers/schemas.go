package main

import (
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type (
	attributes = map[string]schema.Attribute
	blocks     = map[string]schema.Block
)

var (
	needed   = schema.StringAttribute{Required: true}
	text     = schema.StringAttribute{Optional: true}
	number   = schema.Int64Attribute{Optional: true}
	flag     = schema.BoolAttribute{Optional: true}
	made     = schema.StringAttribute{Computed: true}
	secret   = schema.StringAttribute{Computed: true, Sensitive: true}
	texts    = schema.ListAttribute{Optional: true, ElementType: types.StringType}
	labels   = schema.MapAttribute{Optional: true, ElementType: types.StringType}
	hidden   = schema.MapAttribute{Optional: true, Sensitive: true, ElementType: types.StringType}
	metadata = block(attributes{"name": text, "namespace": text, "labels": labels, "annotations": labels}, nil)
)

func block(a attributes, b blocks) schema.ListNestedBlock {
	return schema.ListNestedBlock{NestedObject: schema.NestedBlockObject{Attributes: a, Blocks: b}}
}

var (
	expression = block(attributes{
		"key": text, "operator": text, "values": schema.SetAttribute{Optional: true, ElementType: types.StringType},
	}, nil)
	selector = block(attributes{"match_labels": labels}, blocks{"match_expressions": expression})
	peer     = block(nil, blocks{"namespace_selector": selector, "pod_selector": selector})
	ports    = block(attributes{"port": text, "protocol": text}, nil)
)

var schemas = map[string]schema.Schema{
	"helm_release": {Attributes: attributes{
		"id": made, "name": needed, "chart": needed, "namespace": text, "repository": text, "version": text,
		"values": texts, "atomic": flag, "cleanup_on_fail": flag, "timeout": number, "max_history": number,
	}},
	"kubernetes_namespace_v1": {Attributes: attributes{"id": made}, Blocks: blocks{"metadata": metadata}},
	"kubernetes_secret_v1": {
		Attributes: attributes{"id": made, "data": hidden, "type": text},
		Blocks:     blocks{"metadata": metadata},
	},
	"kubernetes_network_policy_v1": {Attributes: attributes{"id": made}, Blocks: blocks{
		"metadata": metadata,
		"spec": block(attributes{"policy_types": texts}, blocks{
			"pod_selector": selector,
			"ingress":      block(nil, blocks{"from": peer, "ports": ports}),
		}),
	}},
	"random_bytes": {Attributes: attributes{
		"length": schema.Int64Attribute{Required: true}, "base64": secret, "hex": secret,
	}},
	"random_password": {Attributes: attributes{
		"id": made, "length": schema.Int64Attribute{Required: true}, "special": flag, "result": secret,
	}},
}
