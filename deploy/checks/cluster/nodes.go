package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// A tag that no registry has.
const absent = ":absent"

type kubelet struct {
	*kubernetes.Clientset
	context.Context
	ips int
}

// nodes simulates the kubelets of three nodes. No container runs, but a pod that real ones would not start stays pending.
func nodes(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	kubelet := &kubelet{Clientset: client, Context: context.Background()}
	for _, name := range []string{"a", "b", "c"} {
		if err := kubelet.join(name); err != nil {
			return err
		}
	}
	for ; ; time.Sleep(100 * time.Millisecond) {
		pods, err := client.CoreV1().Pods("").List(kubelet, meta.ListOptions{})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			// Whoever changed the pod meanwhile: the next round sees it.
			if err := kubelet.look(&pods.Items[i]); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
}

func (k *kubelet) join(name string) error {
	size := core.ResourceList{}
	has := map[core.ResourceName]string{"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "50Gi"}
	for what, much := range has {
		size[what] = resource.MustParse(much)
	}
	node := &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: "node-" + name, Labels: map[string]string{
			core.LabelHostname: "node-" + name, core.LabelTopologyZone: "zone-" + name,
		}},
		Status: core.NodeStatus{Capacity: size, Allocatable: size, Conditions: []core.NodeCondition{
			{Type: core.NodeReady, Status: core.ConditionTrue},
		}},
	}
	_, err := k.CoreV1().Nodes().Create(k, node, meta.CreateOptions{})
	return err
}

func (k *kubelet) look(pod *core.Pod) error {
	pods := k.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.Spec.NodeName == "":
		return nil
	case pod.DeletionTimestamp != nil:
		now := int64(0)
		return pods.Delete(k, pod.Name, meta.DeleteOptions{GracePeriodSeconds: &now})
	case pod.Status.Phase == core.PodPending:
		k.start(pod)
	case pod.Status.Phase == core.PodRunning && pod.Spec.RestartPolicy != core.RestartPolicyAlways:
		end(pod)
	default:
		return nil
	}
	_, err := pods.UpdateStatus(k, pod, meta.UpdateOptions{})
	return err
}

func (k *kubelet) start(pod *core.Pod) {
	now, started := meta.Now(), true
	if pod.Status.PodIP == "" {
		k.ips++
		pod.Status.PodIP = fmt.Sprintf("10.1.%d.%d", k.ips/250, k.ips%250+1)
		pod.Status.PodIPs = []core.PodIP{{IP: pod.Status.PodIP}}
		pod.Status.StartTime = &now
	}
	state := core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: now}}
	ready := core.ConditionTrue
	if reason, err := k.wrong(pod); err != nil {
		state = core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: reason, Message: err.Error()}}
		started, ready = false, core.ConditionFalse
	} else {
		pod.Status.Phase = core.PodRunning
	}
	pod.Status.ContainerStatuses = nil
	for _, one := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, core.ContainerStatus{
			Name: one.Name, Image: one.Image, State: state, Ready: started, Started: &started,
		})
	}
	condition(pod, ready, now)
}

func end(pod *core.Pod) {
	now := meta.Now()
	pod.Status.Phase = core.PodSucceeded
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		status.Ready = false
		status.State = core.ContainerState{Terminated: &core.ContainerStateTerminated{Reason: "Completed", FinishedAt: now}}
	}
	condition(pod, core.ConditionFalse, now)
}

func condition(pod *core.Pod, ready core.ConditionStatus, now meta.Time) {
	others := []core.PodCondition{
		{Type: core.PodReady, Status: ready, LastTransitionTime: now},
		{Type: core.ContainersReady, Status: ready, LastTransitionTime: now},
	}
	for _, one := range pod.Status.Conditions {
		if one.Type != core.PodReady && one.Type != core.ContainersReady {
			others = append(others, one)
		}
	}
	pod.Status.Conditions = others
}

// wrong says why a kubelet would not start the pod: an image, or a Secret, a ConfigMap or a key that is not there.
func (k *kubelet) wrong(pod *core.Pod) (string, error) {
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret != nil {
			for _, item := range volume.Secret.Items {
				if err := k.secret(pod.Namespace, volume.Secret.SecretName, item.Key); err != nil {
					return "FailedMount", err
				}
			}
		}
	}
	for _, container := range pod.Spec.Containers {
		if strings.HasSuffix(container.Image, absent) {
			return "ImagePullBackOff", fmt.Errorf("no image %s", container.Image)
		}
		for _, from := range container.EnvFrom {
			if _, err := k.CoreV1().ConfigMaps(pod.Namespace).Get(k, from.ConfigMapRef.Name, meta.GetOptions{}); err != nil {
				return "CreateContainerConfigError", err
			}
		}
		for _, variable := range container.Env {
			if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
				if err := k.secret(pod.Namespace, from.SecretKeyRef.Name, from.SecretKeyRef.Key); err != nil {
					return "CreateContainerConfigError", err
				}
			}
		}
	}
	return "", nil
}

func (k *kubelet) secret(namespace, name, key string) error {
	secret, err := k.CoreV1().Secrets(namespace).Get(k, name, meta.GetOptions{})
	if err == nil && secret.Data[key] == nil {
		return fmt.Errorf("couldn't find key %s in Secret %s/%s", key, namespace, name)
	}
	return err
}
