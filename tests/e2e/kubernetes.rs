//! The manifests for Kubernetes: rendered as `kubectl apply -k` does it, and checked against Kubernetes' schemas.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use relay_tests::requirements::tool;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes")
}

/// Renders a kustomization and validates every object in it.
fn render(kustomization: &Path) -> Result<Vec<Value>> {
    let output = Command::new("kubectl").arg("kustomize").arg(kustomization).output();
    let output = output.context("kubectl is missing: run `make test`, which provides it")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let warnings = String::from_utf8_lossy(&output.stderr);
    ensure!(warnings.is_empty(), "{warnings}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/kubernetes_check.py");
    let mut child = Command::new(tool("kubernetes/bin/python")?)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no standard input")?.write_all(&output.stdout)?;
    let checked = child.wait_with_output()?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(serde_json::from_slice(&checked.stdout)?)
}

fn overlay(name: &str) -> Result<Vec<Value>> {
    render(&folder().join("overlays").join(name)).with_context(|| name.to_owned())
}

fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let is_it = |object: &&Value| {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text("/kind") == kind && text("/metadata/name").starts_with(name)
    };
    objects.iter().find(is_it).with_context(|| format!("no {kind} {name}"))
}

fn list<'a>(value: &'a Value, pointer: &str) -> Vec<&'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().collect()
}

fn named<'a>(values: &[&'a Value], name: &str) -> Result<&'a Value> {
    let found = values.iter().find(|value| value.get("name").is_some_and(|known| known == name));
    found.copied().with_context(|| format!("nothing called {name}"))
}

const POD: &str = "/spec/template/spec";

#[test]
fn every_overlay_is_rendered_and_valid() -> Result<()> {
    for name in ["one-relay", "fleet", "load-balancer"] {
        let objects = overlay(name)?;
        for kind in [
            "Namespace",
            "StatefulSet",
            "Service",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "ConfigMap",
        ] {
            object(&objects, kind, "relay").context(name)?;
        }
        ensure!(
            !objects.iter().any(|object| object.get("kind").is_some_and(|kind| kind == "Secret"))
        );
    }
    Ok(())
}

#[test]
fn a_pod_is_started_and_stopped_in_order_and_has_no_more_rights_than_it_needs() -> Result<()> {
    for name in ["one-relay", "fleet", "load-balancer"] {
        let objects = overlay(name)?;
        let set = object(&objects, "StatefulSet", "relay")?;
        let pod = set.pointer(POD).context("no pod")?;
        let first = list(pod, "/initContainers");
        let names: Vec<_> = first.iter().filter_map(|c| c.get("name")?.as_str()).collect();
        ensure!(names == ["volumes", "sidecar"], "{name}: {names:?}");
        let sidecar = named(&first, "sidecar")?;
        ensure!(sidecar.get("restartPolicy").is_some_and(|policy| policy == "Always"), "{name}");
        let grace = pod.get("terminationGracePeriodSeconds").and_then(Value::as_u64);
        // DRAIN_SECONDS is 45, and the sidecar has 10 more.
        ensure!(grace.is_some_and(|grace| grace >= 60), "{name}: {grace:?}");
        let containers = list(pod, "/containers");
        for container in first.iter().chain(&containers) {
            let security = container.get("securityContext").context("no securityContext")?;
            let is = |key: &str, value: bool| security.get(key).is_some_and(|found| found == value);
            ensure!(is("readOnlyRootFilesystem", true), "{name}: {container}");
            ensure!(is("allowPrivilegeEscalation", false), "{name}: {container}");
            ensure!(list(security, "/capabilities/drop") == ["ALL"], "{name}: {container}");
        }
        let security = sidecar.get("securityContext").context("no securityContext")?;
        ensure!(security.get("runAsNonRoot").is_some_and(|root| root == true), "{name}");
        ensure!(list(security, "/capabilities/add").is_empty(), "{name}");
        let claims = list(set, "/spec/volumeClaimTemplates");
        ensure!(claims.len() == 3, "{name}: {claims:?}");
        let service = object(&objects, "Service", "relay")?;
        let policy = service.pointer("/spec/externalTrafficPolicy");
        ensure!(policy.is_some_and(|policy| policy == "Local"), "{name}");
    }
    Ok(())
}

#[test]
fn a_fleet_has_names_of_its_own_and_a_load_balancer_the_ports_that_only_it_may_use() -> Result<()> {
    let objects = overlay("load-balancer")?;
    let pod = object(&objects, "StatefulSet", "relay")?.pointer(POD).context("no pod")?;
    let sidecar = named(&list(pod, "/initContainers"), "sidecar")?;
    let node = named(&list(sidecar, "/env"), "FLEET_NODE")?;
    let from = node.pointer("/valueFrom/fieldRef/fieldPath");
    ensure!(from.is_some_and(|path| path == "metadata.name"), "{node}");
    named(&list(pod, "/volumes"), "fleet")?;
    let settings =
        object(&objects, "ConfigMap", "relay-settings")?.get("data").context("no data")?;
    for variable in ["RELAY_MYHOSTNAME", "FLEET_URL", "PROXY_PROTOCOL_FROM"] {
        ensure!(settings.get(variable).is_some(), "{variable}: {settings}");
    }
    let policy = object(&objects, "NetworkPolicy", "relay")?;
    for rule in list(policy, "/spec/ingress") {
        ensure!(rule.get("from").is_some(), "anybody may connect to {rule}");
    }
    let service = object(&objects, "Service", "relay")?;
    let targets: Vec<_> = list(service, "/spec/ports")
        .iter()
        .filter_map(|port| port.get("targetPort")?.as_str())
        .collect();
    ensure!(targets == ["proxied-587", "proxied-465"], "{targets:?}");
    Ok(())
}

#[test]
fn the_alert_rules_are_those_of_prometheus() -> Result<()> {
    let scratch = tempfile::tempdir_in(folder())?;
    let text = "resources: [../overlays/one-relay]\ncomponents: [../monitoring]\n";
    std::fs::write(scratch.path().join("kustomization.yaml"), text)?;
    let objects = render(scratch.path())?;
    object(&objects, "ServiceMonitor", "relay")?;
    object(&objects, "PrometheusRule", "relay")?;
    let rules = std::fs::read_to_string(folder().join("../prometheus/relay.rules.yml"))?;
    let ours = std::fs::read_to_string(folder().join("monitoring/rules.yaml"))?;
    let groups = |text: &str| {
        let lines = text.lines().skip_while(|line| !line.trim_start().starts_with("groups:"));
        lines.map(|line| line.trim_start().to_owned()).collect::<Vec<_>>()
    };
    ensure!(groups(&rules) == groups(&ours), "deploy/kubernetes/monitoring/rules.yaml differs");
    Ok(())
}
