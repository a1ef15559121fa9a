output "next" {
  description = "What to do now."
  value = join("\n", concat(
    ["kubectl --context ${var.context} -n ${module.trireme.namespace} get pods"],
    [for service in ["user", "order", "payment"] :
    "helm --kube-context ${var.context} -n ${module.trireme.namespace} test ${service}"],
    [
      "kubectl --context ${var.context} -n ${module.trireme.namespace} exec deployment/order -c order -- /service seed",
      "kubectl --context ${var.context} -n ${module.trireme.namespace} port-forward service/order 8080",
      "curl http://127.0.0.1:8080/v1/products",
    ],
  ))
}

output "canaries" {
  description = "Version 2 of the services that have one."
  value       = module.trireme.canaries
}
