//! A worker built from git.

use e2e_tests::{sample, worker};
use worker_provisioner::{
    Artifact as _, ArtifactStatus, Flavor, FlavorPreference, Platform, WorkerType,
};

use crate::support::{Site, run};

#[test]
fn a_worker_is_built_from_git_and_answers() {
    run(async {
        let mut site = Site::new("source");
        site.config.flavor = FlavorPreference::Source;
        let provisioned = site
            .provision(sample::WORKER)
            .await
            .unwrap_or_else(|error| {
                panic!("{}", error.chain());
            });
        assert_eq!(provisioned.receipt.flavor, Flavor::Source);
        let binary = provisioned.binary;
        let own = site.bin_dir().join("sample-worker-rbee-cpu");
        assert_eq!(binary.path(), own);
        assert_eq!(binary.worker_type(), WorkerType::Cpu);
        assert_eq!(Some(binary.platform()), Platform::current());
        assert_eq!(binary.status(), &ArtifactStatus::Available);
        assert_eq!(
            binary.size(),
            std::fs::metadata(binary.path()).unwrap().len()
        );
        assert_eq!(binary.supported_formats(), ["gguf", "safetensors"]);
        assert_eq!(binary.max_context_length(), 4096);
        // One commit past the tag, as `git describe --long` tells it.
        assert!(
            binary.version().starts_with("0.3.0.r1.g"),
            "{}",
            binary.version()
        );
        assert!(
            binary.id().starts_with("sample-worker-rbee-cpu-0.3.0.r1.g"),
            "{}",
            binary.id()
        );
        let health = worker::answers(binary.path()).await.unwrap();
        assert!(health.contains(r#""backend":"cpu""#), "{health}");
        site.assert_clean();
    });
}
