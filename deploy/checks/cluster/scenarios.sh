# shellcheck shell=bash
# What cluster.sh does on its cluster, one function after another. With `errexit`, so that each line is a check.

one_by_one() {
    openssl rand -hex 32 >"$work/service.credential"
    openssl rand -hex 32 >"$work/webhook.secret"
    readme 1
    refused kubectl run root --image=root
    grep -q 'violates PodSecurity "restricted' "$work/refused"
    readme 2
    local service
    for service in user order payment; do
        serves "$service" 3 0.1.0
        is "nodes of $service" 3 "$(kubectl get pods -l "app=$service" \
            -o jsonpath='{range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort -u | wc -l)"
        kubectl wait "pdb/$service" --for=jsonpath='{.status.disruptionsAllowed}=1' --timeout=20s
    done
}

canary() {
    kubectl apply -f "$repository/istio"
    readme 4
    serves order 3 0.2.0
    refused kubectl get deployment/order-v2
    # Back to all requests on version 2, and from there to before.
    waiting rollback order
    serves order 3 0.1.0
    serves order-v2 3 0.2.0
    is weights '0 100' "$(kubectl get vs/order -o jsonpath='{.spec.http[1].route[*].weight}')"
    waiting rollback order 1
    serves order 3 0.1.0
    refused kubectl get deployment/order-v2
}

everything() {
    local service all
    all='istio.enabled=true,istio.host=shop.example.org,canary.enabled=true,canary.tag=0.2.0,canary.weight=5'
    all+=',istio.jwksUri=https://shop.example.org/.well-known/jwks.json,metrics.serviceMonitor=true'
    all+=',autoscaling.callsPerSecond=200,gatewayApi.enabled=true,gatewayApi.parent.name=public'
    openssl rand -hex 32 >"$work/canary.key"
    for service in user order payment; do
        waiting upgrade "$service" "$repository/helm/trireme" -f "$repository/helm/values/$service.yaml" --set "$all" \
            --set-file istio.canaryKey=<(tr -d '\n' <"$work/canary.key")
        serves "$service" 3 0.1.0
        serves "$service-v2" 1 0.2.0
        helm -n shop test "$service"
    done
    kubectl get "httproute/user" "grpcroute/user" "vs/user-public" "servicemonitor/user"
}

failures() {
    upgrade() { helm -n shop upgrade payment "$repository/helm/trireme" -f "$repository/helm/values/payment.yaml" \
        --wait --timeout 5s --set "$1"; }
    # A key that no Secret has: neither the migration nor what runs gets further.
    refused upgrade 'secretConfig.database\.url.key=absent'
    serves payment 3 0.1.0
    # An image that no registry has: the pods of before stay.
    refused upgrade image.tag=absent,migration.enabled=false
    is 'pods that stay' 3 "$(kubectl get deployment/payment -o jsonpath='{.status.availableReplicas}')"
    # Without its number it would be the one before, which failed, too.
    waiting rollback payment 2
    serves payment 3 0.1.0
    helm -n shop uninstall user order payment --wait
    # The migration that failed, with its log.
    is 'what is left' job.batch/payment-migration "$(left)"
    kubectl delete job/payment-migration
}

shop() {
    waiting install shop "$repository/helm/shop" --set smoke.url=http://gateway.gateway:9080
    kubectl get netpol/deny-all netpol/order-to-mongodb
    helm -n shop test shop
    # Now with the namespace closed.
    waiting upgrade shop "$repository/helm/shop"
    helm -n shop uninstall shop --wait
    is 'what is left' '' "$(left)"
}

embedded() {
    local number
    kubectl create -f - <<'END'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: standard, annotations: { storageclass.kubernetes.io/is-default-class: "true" } }
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
END
    for number in 1 2 3 4; do
        kubectl create -f - <<END
apiVersion: v1
kind: PersistentVolume
metadata: { name: volume-$number }
spec:
  capacity: { storage: 1Gi }
  accessModes: [ReadWriteOnce]
  storageClassName: standard
  hostPath: { path: /none }
END
    done
    waiting install shop "$repository/helm/shop" -f "$repository/helm/shop/embedded.yaml"
    helm -n shop test shop
    # The data stays, and the next release takes it over.
    helm -n shop uninstall shop --wait
    is 'volumes that stay' 4 "$(kubectl get pvc -o name | wc -l)"
    waiting install shop "$repository/helm/shop" -f "$repository/helm/shop/embedded.yaml"
    serves order 1 0.1.0
}
