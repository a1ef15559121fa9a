output "namespace" {
  description = "Where the services run."
  value       = kubernetes_namespace_v1.shop.metadata[0].name
}

output "secrets" {
  description = "Names of the Secrets that were made, each with its keys."
  value       = { for name, keys in local.secrets : name => sort(nonsensitive(keys(keys))) }
}

output "canaries" {
  description = "Version 2 of the services that have one."
  value       = { for service, tag in var.canary_tags : service => tag if tag != null }
}
