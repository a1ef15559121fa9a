# Every secret is made here or given by a sensitive variable. All of them are in the state, in plain text: keep it in a
# backend that encrypts and that only those may read who may read the Secrets.

# What the services show each other.
resource "random_bytes" "credential" {
  length = 32
}

resource "random_password" "webhook" {
  count   = var.webhook_secret == null ? 1 : 0
  length  = 48
  special = false
}

resource "random_password" "store" {
  for_each = toset(keys(local.installed))
  length   = 40
  # They stand in URLs.
  special = false
}

locals {
  password = { for name, made in random_password.store : name => made.result }
  domain   = "${var.namespace}-stores.svc.cluster.local"

  # The traffic to stores in the cluster is not encrypted: for production take stores of your own, with TLS.
  postgres_url = { for service in ["user", "payment", "provider"] : service => join("", [
    "postgres://trireme:", lookup(local.password, "${service}-postgres", ""),
    "@${service}-postgres.${local.domain}:5432/${service}?sslmode=disable",
  ]) }
  redis_url = "redis://default:${lookup(local.password, "redis", "")}@redis.${local.domain}:6379"
  here_urls = {
    user_database_url    = local.postgres_url.user
    payment_database_url = local.postgres_url.payment
    order_database_url = join("", [
      "mongodb://trireme:", lookup(local.password, "mongodb", ""),
      "@mongodb.${local.domain}:27017/order?authSource=admin",
    ])
    provider_url = "sandbox+${local.postgres_url.provider}"
    bus_url = join("", [
      "nats://trireme:", lookup(local.password, "nats", ""),
      "@nats.${local.domain}:4222?replicas=${local.nats_replicas}",
    ])
    cache_url = local.redis_url
    lock_url  = local.redis_url
    # Of the stores that are made here none searches.
    search_url = ""
  }
  urls = var.external_stores == null ? local.here_urls : var.external_stores

  searches = var.external_stores == null ? false : nonsensitive(var.external_stores.search_url != "")

  # Which settings of a service come from the key of that name in its Secret. On embedded stores it is the bus alone.
  settings = { for service, keys in {
    user    = ["bus-url", "cache-url", "database-url"]
    order   = concat(["bus-url", "cache-url", "database-url", "lock-url"], local.searches ? ["search-url"] : [])
    payment = ["bus-url", "database-url", "lock-url", "provider-url"]
  } : service => [for key in keys : key if var.stores != "embedded" || key == "bus-url"] }

  webhook_secret = coalesce(var.webhook_secret, one(random_password.webhook[*].result))

  secrets = merge(
    { trireme-service = { credential = random_bytes.credential.base64 } },
    { for service, keys in local.settings : service => merge(
      { for key in keys : key => local.urls[replace(key == "database-url" ? "${service}-${key}" : key, "-", "_")] },
      { for key in ["webhook-secret"] : key => local.webhook_secret if service == "payment" },
    ) },
  )
}

resource "kubernetes_secret_v1" "service" {
  for_each = toset(["trireme-service", "user", "order", "payment"])

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.shop.metadata[0].name
    labels    = local.labels
  }

  data = local.secrets[each.key]
}

resource "kubernetes_secret_v1" "store" {
  for_each = toset(keys(local.installed))

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.stores[0].metadata[0].name
    labels    = local.labels
  }

  data = { password = local.password[each.key] }
}
