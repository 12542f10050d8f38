// Command pulumi-resource-kubernetes is Pulumi's Kubernetes provider, built from its Go module.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

func main() {
	provider.Serve("kubernetes", "4.18.1", []byte(`{"name":"kubernetes","version":"4.18.1"}`), nil)
}
