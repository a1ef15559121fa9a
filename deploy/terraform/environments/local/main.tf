# Trireme on a cluster of this machine (kind, k3d, minikube), by default without a store to be installed first.
# The state stays in this folder and holds the secrets: for a cluster that others use, add an encrypted backend.

terraform {
  required_version = ">= 1.8"

  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.1"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 2.38"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}

provider "kubernetes" {
  config_path    = pathexpand(var.kubeconfig)
  config_context = var.context
}

provider "helm" {
  kubernetes = {
    config_path    = pathexpand(var.kubeconfig)
    config_context = var.context
  }
}

module "trireme" {
  source = "../../modules/trireme"

  namespace        = var.namespace
  stores           = var.stores
  replicas         = 1
  nats_replicas    = 1
  store_size       = "1Gi"
  image_repository = var.image_repository
  image_tag        = var.image_tag
  canary_tags      = var.canary_tags
  mesh             = var.mesh
}
