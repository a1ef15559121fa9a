# Stores in the cluster, from charts that run the makers' own images, each at one version.
# They are single servers but for NATS: for trying it out and for tests. Production brings stores of its own.

locals {
  # One copy is all that embedded stores are for.
  nats_replicas = var.stores == "embedded" ? 1 : var.nats_replicas

  cloudpirates = "oci://registry-1.docker.io/cloudpirates"
  container = {
    allowPrivilegeEscalation = false
    runAsNonRoot             = true
    runAsUser                = 999
    runAsGroup               = 999
    capabilities             = { drop = ["ALL"] }
  }
  nats_container = merge(local.container, { runAsUser = 1000, runAsGroup = 1000 })
  pod            = { fsGroup = 999, seccompProfile = { type = "RuntimeDefault" } }
  base = {
    podSecurityContext       = local.pod
    containerSecurityContext = local.container
    persistence              = { size = var.store_size }
  }

  # One for each that uses it; the test provider is a third party to the other two.
  postgres = { for service in ["user", "payment", "provider"] : "${service}-postgres" => {
    repository = local.cloudpirates
    chart      = "postgres"
    version    = "0.19.12"
    values = merge(local.base, {
      auth = {
        username       = "trireme"
        database       = service
        existingSecret = "${service}-postgres"
        secretKeys     = { adminPasswordKey = "password" }
      }
    })
  } }

  other_stores = {
    mongodb = {
      repository = local.cloudpirates
      chart      = "mongodb"
      version    = "0.18.12"
      values = merge(local.base, {
        auth = {
          enabled                   = true
          rootUsername              = "trireme"
          existingSecret            = "mongodb"
          existingSecretPasswordKey = "password"
        }
      })
    }
    redis = {
      repository = local.cloudpirates
      chart      = "redis"
      version    = "0.34.2"
      values = merge(local.base, {
        architecture = "standalone"
        auth         = { enabled = true, existingSecret = "redis", existingSecretPasswordKey = "password" }
      })
    }
    nats = {
      repository = "https://nats-io.github.io/k8s/helm/charts"
      chart      = "nats"
      version    = "2.12.3"
      values = {
        config = {
          cluster   = { enabled = local.nats_replicas > 1, replicas = local.nats_replicas }
          jetstream = { enabled = true, fileStore = { pvc = { size = var.store_size } } }
          # << >> leaves the quotes out, so that the server reads the variable.
          merge = { authorization = { user = "trireme", password = "<< $NATS_PASSWORD >>" } }
        }
        container = {
          env   = { NATS_PASSWORD = { valueFrom = { secretKeyRef = { name = "nats", key = "password" } } } }
          merge = { securityContext = local.nats_container }
        }
        # It signals the server, so that it runs as the same user.
        reloader    = { enabled = true, merge = { securityContext = local.nats_container } }
        podTemplate = { merge = { spec = { securityContext = merge(local.pod, { fsGroup = 1000 }) } } }
        natsBox     = { enabled = false }
      }
    }
  }

  installed = { for name, store in merge(local.postgres, local.other_stores) : name => store
  if contains(keys(local.ports), store.chart) }
}

resource "helm_release" "store" {
  for_each = local.installed

  name       = each.key
  namespace  = kubernetes_namespace_v1.stores[0].metadata[0].name
  repository = each.value.repository
  chart      = each.value.chart
  version    = each.value.version
  values     = [yamlencode(merge({ fullnameOverride = each.key }, each.value.values))]

  atomic          = true
  cleanup_on_fail = true
  max_history     = 5
  timeout         = var.timeout_seconds

  depends_on = [kubernetes_secret_v1.store, kubernetes_network_policy_v1.stores]
}
