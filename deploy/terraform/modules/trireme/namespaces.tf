locals {
  # What is installed beside the services, each with the port that they reach it on.
  ports = { for store, port in { postgres = 5432, mongodb = 27017, redis = 6379, nats = 4222 } : store => port
  if var.stores == "in_cluster" || (var.stores == "embedded" && store == "nats") }
  here   = length(local.ports) > 0
  labels = { "app.kubernetes.io/part-of" = "trireme", "app.kubernetes.io/managed-by" = "terraform" }
}

resource "kubernetes_namespace_v1" "shop" {
  metadata {
    name = var.namespace
    labels = merge(local.labels, {
      "pod-security.kubernetes.io/enforce" = "restricted"
      "pod-security.kubernetes.io/audit"   = "restricted"
      "pod-security.kubernetes.io/warn"    = "restricted"
    })
  }
}

# Nothing in, nothing out, for whatever pod comes into the namespace; each release names the edges of its service.
resource "kubernetes_network_policy_v1" "deny_all" {
  metadata {
    name      = "deny-all"
    namespace = kubernetes_namespace_v1.shop.metadata[0].name
    labels    = local.labels
  }

  spec {
    policy_types = ["Ingress", "Egress"]
    pod_selector {}
  }
}

# The stores are apart: their charts are not ours, so that `baseline` is enforced and `restricted` only reported, and no
# sidecar stands between them and the migrations, which have none either.
resource "kubernetes_namespace_v1" "stores" {
  count = local.here ? 1 : 0

  metadata {
    name = "${var.namespace}-stores"
    labels = merge(local.labels, {
      "pod-security.kubernetes.io/enforce" = "baseline"
      "pod-security.kubernetes.io/audit"   = "restricted"
      "pod-security.kubernetes.io/warn"    = "restricted"
      "istio-injection"                    = "disabled"
    })
  }
}

# Nobody reaches a store but its peers and, on its own port, the pods of the services.
resource "kubernetes_network_policy_v1" "stores" {
  count = local.here ? 1 : 0

  metadata {
    name      = "stores"
    namespace = kubernetes_namespace_v1.stores[0].metadata[0].name
    labels    = local.labels
  }

  spec {
    policy_types = ["Ingress"]
    pod_selector {}

    ingress {
      from {
        pod_selector {}
      }
    }

    ingress {
      from {
        namespace_selector {
          match_labels = { "kubernetes.io/metadata.name" = kubernetes_namespace_v1.shop.metadata[0].name }
        }
        pod_selector {
          match_expressions {
            key      = "app"
            operator = "In"
            values   = ["user", "order", "payment"]
          }
        }
      }
      dynamic "ports" {
        for_each = local.ports
        content {
          port     = ports.value
          protocol = "TCP"
        }
      }
    }
  }
}
