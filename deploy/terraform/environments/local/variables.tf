variable "context" {
  description = "Context of the kubeconfig, such as kind-trireme. It has no default: it says what is changed."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^(kind|k3d|minikube|docker-desktop|rancher-desktop|orbstack|colima)", var.context))
    error_message = "This environment is for a cluster on this machine. For another, write an environment of its own."
  }
}

variable "kubeconfig" {
  description = "The kubeconfig that has the context."
  type        = string
  default     = "~/.kube/config"
  nullable    = false
}

variable "namespace" {
  description = "Namespace that is made for the services."
  type        = string
  default     = "shop"
  nullable    = false
}

variable "stores" {
  description = "embedded needs nothing else; in_cluster installs PostgreSQL, MongoDB, Redis and NATS first."
  type        = string
  default     = "embedded"
  nullable    = false

  validation {
    condition     = contains(["embedded", "in_cluster"], var.stores)
    error_message = "On this machine stores is embedded or in_cluster."
  }
}

variable "image_repository" {
  description = "Where the images are: REPOSITORY/SERVICE:TAG."
  type        = string
  default     = "ghcr.io/trireme"
  nullable    = false
}

variable "image_tag" {
  description = "Version 1 of all three services. null takes the chart's own."
  type        = string
  default     = null
}

variable "canary_tags" {
  description = "Version 2 beside version 1, by service: {order = \"0.2.0\"}."
  type = object({
    user    = optional(string)
    order   = optional(string)
    payment = optional(string)
  })
  default  = {}
  nullable = false
}

variable "mesh" {
  description = "Whether Istio, with its CNI plugin, is installed and to be used."
  type        = bool
  default     = false
  nullable    = false
}
