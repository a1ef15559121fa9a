# A release of helm/trireme for each service, with its file in helm/values: so the plan of a canary shows that service
# alone, and an upgrade that fails rolls back no other. It also means that what differs from that file is computed here
# whole: a value of a parent chart, as in helm/shop, could not be taken out again.

locals {
  helm     = "${path.module}/../../../../helm"
  embedded = var.stores == "embedded"

  services = keys(local.settings)
  values   = { for service in local.services : service => yamldecode(file("${local.helm}/values/${service}.yaml")) }
  # One pod with SQLite on a volume.
  small = { for service, its in yamldecode(file("${local.helm}/shop/embedded.yaml")) : service => its
  if local.embedded }
  # As many pods as wanted, on servers.
  large = { for service, its in local.values : service => {
    replicas    = var.replicas
    autoscaling = merge(try(its.autoscaling, {}), { enabled = true, min = var.replicas, max = max(10, var.replicas) })
    data        = { enabled = false }
  } if !local.embedded }

  # What comes from a Secret does not come from the ConfigMap, too.
  config = { for service, keys in local.settings : service => {
    for section, its in merge(local.values[service].config, try(local.small[service].config, {})) : section => its
    if !contains(keys, "${section}-url")
  } }

  # Which of the stores beside it a service may reach; `host`, the Service, is for the mesh.
  stores_of = {
    user    = ["user-postgres", "redis", "nats"]
    order   = ["mongodb", "redis", "nats"]
    payment = ["payment-postgres", "provider-postgres", "redis", "nats"]
  }
  collector = [{ host = "otel-collector", port = 4317, podLabels = { app = "otel-collector" } }]
  egress = { for service, stores in local.stores_of : service => concat(
    [for store in stores : {
      host      = store
      port      = local.ports[local.installed[store].chart]
      namespace = "${var.namespace}-stores"
      podLabels = { "app.kubernetes.io/name" = local.installed[store].chart, "app.kubernetes.io/instance" = store }
    } if contains(keys(local.installed), store)],
    [for to in var.external_egress : { for key, value in to : key => value if value != null }],
    [for to in local.collector : to],
  ) }
}

resource "helm_release" "service" {
  for_each = local.values

  name      = each.key
  namespace = kubernetes_namespace_v1.shop.metadata[0].name
  chart     = "${local.helm}/trireme"
  values = compact([yamlencode(merge(each.value, try(local.small[each.key], {}), try(local.large[each.key], {}), {
    config       = local.config[each.key]
    secretConfig = { for key in local.settings[each.key] : replace(key, "-", ".") => { secret = each.key, key = key } }
    network      = merge(each.value.network, { egress = local.egress[each.key] })
    image = { for key, its in { repository = var.image_repository, tag = var.image_tag } : key => its
    if its != null }
    canary = { for key, its in { enabled = true, tag = var.canary_tags[each.key] } : key => its
    if var.canary_tags[each.key] != null }
    istio = merge(each.value.istio, { enabled = var.mesh })
  })), lookup(var.extra_values, each.key, "")])

  # An upgrade that does not become ready is rolled back.
  atomic          = true
  cleanup_on_fail = true
  max_history     = 10
  timeout         = var.timeout_seconds

  lifecycle {
    precondition {
      condition     = (var.stores == "external") == nonsensitive(var.external_stores != null)
      error_message = "external_stores is given with stores = \"external\", and only then."
    }
    precondition {
      condition     = (var.stores == "external") == (length(var.external_egress) > 0)
      error_message = "external_egress is given with stores = \"external\", and only then: the rest is denied."
    }
    precondition {
      condition     = !local.embedded || var.canary_tags[each.key] == null
      error_message = "A canary cannot stand on embedded stores: SQLite's volume has one pod."
    }
  }

  depends_on = [kubernetes_secret_v1.service, helm_release.store]
}
