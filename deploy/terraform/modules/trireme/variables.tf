variable "namespace" {
  description = "Namespace that is made for the services; that of stores in the cluster is NAME-stores."
  type        = string
  default     = "shop"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,54}[a-z0-9])?$", var.namespace))
    error_message = "A namespace is up to 56 lower-case letters, digits and dashes and begins with a letter."
  }
}

variable "stores" {
  description = "Where data is: embedded (SQLite on volumes, one NATS), in_cluster (made here), external (yours)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["embedded", "in_cluster", "external"], var.stores)
    error_message = "stores is embedded, in_cluster or external."
  }
}

variable "external_stores" {
  description = "URLs of your own stores, for stores = \"external\"; each may hold a password and becomes a Secret."
  type = object({
    user_database_url    = string
    order_database_url   = string
    payment_database_url = string
    provider_url         = string
    bus_url              = string
    cache_url            = string
    lock_url             = string
    # Elasticsearch or OpenSearch; without it products are searched in the database, and orders are not.
    search_url = optional(string, "")
  })
  sensitive = true
  default   = null

  validation {
    condition = var.external_stores == null ? true : alltrue([
      startswith(var.external_stores.user_database_url, "postgres://"),
      startswith(var.external_stores.payment_database_url, "postgres://"),
      can(regex("^mongodb([+]srv)?://", var.external_stores.order_database_url)),
      can(regex("^(nats|tls|kafka([+]ssl)?|amqps?)://", var.external_stores.bus_url)),
      can(regex("^rediss?([+]cluster)?://", var.external_stores.cache_url)),
      can(regex("^rediss?([+]cluster)?://", var.external_stores.lock_url)),
      can(regex("^(https?://.*)?$", var.external_stores.search_url)),
    ])
    error_message = "A database, bus, cache, lock or search has a URL of a kind that it cannot be on."
  }
}

variable "external_egress" {
  description = "What the services may reach of your own stores, for stores = \"external\"; host is for the mesh."
  type        = list(object({ cidr = string, port = number, host = optional(string) }))
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for to in var.external_egress : can(cidrhost(to.cidr, 0)) && to.port > 0 && to.port < 65536
    ])
    error_message = "Each is a CIDR block and a port."
  }
}

variable "replicas" {
  description = "Pods of each service. Embedded stores allow one, whatever is said here."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.replicas >= 1 && var.replicas <= 10 && floor(var.replicas) == var.replicas
    error_message = "replicas is a whole number from 1 to 10."
  }
}

variable "nats_replicas" {
  description = "Servers of NATS in the cluster, and replicas of each stream: 1 to try it, 3 to survive the loss of one."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = contains([1, 3, 5], var.nats_replicas)
    error_message = "nats_replicas is 1, 3 or 5."
  }
}

variable "store_size" {
  description = "Size of the volume of each store in the cluster."
  type        = string
  default     = "8Gi"
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]*(Mi|Gi|Ti)$", var.store_size))
    error_message = "store_size is a Kubernetes quantity such as 8Gi."
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

  validation {
    condition     = try(var.image_tag != "latest", true)
    error_message = "latest says nothing: name a version."
  }
}

variable "canary_tags" {
  description = "Version 2 beside version 1, by service; a service that is not named has none."
  type = object({
    user    = optional(string)
    order   = optional(string)
    payment = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for tag in values(var.canary_tags) : tag == null ? true : !contains(["", "latest"], tag)
    ])
    error_message = "Name a version for each canary."
  }
}

variable "mesh" {
  description = "Istio: mutual TLS, routes, who may call whom. It has to be installed, with its CNI plugin."
  type        = bool
  default     = false
  nullable    = false
}

variable "extra_values" {
  description = "YAML by service that comes over all other values of its release, such as file(\"order.yaml\")."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for service, text in var.extra_values : contains(["user", "order", "payment"], service) && can(yamldecode(text))
    ])
    error_message = "extra_values is YAML by user, order or payment."
  }
}

variable "webhook_secret" {
  description = "What the payment provider signs its webhooks with. null makes a random one."
  type        = string
  sensitive   = true
  default     = null

  validation {
    condition     = var.webhook_secret == null ? true : length(var.webhook_secret) >= 32
    error_message = "The webhook's secret has at least 32 characters."
  }
}

variable "timeout_seconds" {
  description = "How long a release may take to become ready; afterwards it is rolled back."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 60
    error_message = "A release needs a minute at least."
  }
}
