// Prints the Argo Workflow that a pipeline becomes on Kubeflow Pipelines, as JSON:
//
//	workflow PACKAGE [PARAMETERS]
//
// It does what the API server does when a run is created: it validates the package
// (pipeline.yaml) and the run's PARAMETERS (JSON), compiles both, and has Argo validate
// the Workflow. What one of them refuses is one line, and the exit code is 1.
//
// This is a package of the module github.com/kubeflow/pipelines: see programs.py.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/kubeflow/pipelines/backend/src/apiserver/config/proxy"
	"github.com/kubeflow/pipelines/backend/src/apiserver/model"
	"github.com/kubeflow/pipelines/backend/src/apiserver/template"
)

func compile(path string, parameters string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	parsed, err := template.New(content, template.TemplateOptions{})
	if err != nil {
		return "", fmt.Errorf("package: %w", err)
	}
	run := &model.Run{DisplayName: "run"}
	run.RuntimeConfig.Parameters = model.LargeText(parameters)
	workflow, err := parsed.RunWorkflow(run, template.RunWorkflowOptions{RunID: "run"})
	if err != nil {
		return "", fmt.Errorf("compiler: %w", err)
	}
	// As resource_manager.go does: nothing is left out, as it would be for a lint.
	if err := workflow.Validate(false, false); err != nil {
		return "", fmt.Errorf("Argo: %w", err)
	}
	return workflow.ToStringForStore(), nil
}

func main() {
	proxy.InitializeConfigWithEmptyForTests()
	parameters := "{}"
	if len(os.Args) > 2 {
		parameters = os.Args[2]
	}
	workflow, err := compile(os.Args[1], parameters)
	if err != nil {
		fmt.Fprintln(os.Stderr, strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(1)
	}
	fmt.Println(workflow)
}
