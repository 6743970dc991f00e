//! The example hive over real HTTP.

use e2e_tests::sample;
use e2e_tests::serve::Server;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use worker_provisioner::{FilesystemCatalog, FlavorPreference};

use crate::support::{Site, run};

#[path = "../../crates/worker-provisioner/examples/hive/router.rs"]
mod router;

struct Hive {
    server: Server,
}

impl Hive {
    async fn start(site: &Site) -> Self {
        let catalog = FilesystemCatalog::new(site.config.data_dir.join("workers"));
        let router = router::router(site.provisioner(), catalog);
        Self {
            server: Server::start(0, router).await.unwrap(),
        }
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.server.address()).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: hive\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn json(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut answer = String::new();
        self.send(method, path, &body)
            .await
            .read_to_string(&mut answer)
            .await
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    async fn install(&self, worker_id: &str) -> String {
        let request =
            json!({ "operation": "worker_install", "hive_id": "local", "worker_id": worker_id });
        let (status, answer) = self.json("POST", "/v1/jobs", &request).await;
        assert_eq!(status, 200, "{answer}");
        let job = answer["job_id"].as_str().unwrap().to_owned();
        assert_eq!(answer["sse_url"], format!("/v1/jobs/{job}/stream"));
        job
    }

    /// The data of every server-sent event up to the end; `on_line` sees each as it comes.
    async fn stream(&self, job: &str, mut on_line: impl AsyncFnMut(&str)) -> Vec<String> {
        let stream = self
            .send("GET", &format!("/v1/jobs/{job}/stream"), "")
            .await;
        let mut lines = BufReader::new(stream).lines();
        let mut data = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(text) = line.strip_prefix("data: ") {
                on_line(text).await;
                data.push(text.to_owned());
            }
        }
        data
    }
}

#[test]
fn a_worker_is_installed_listed_and_removed() {
    run(async {
        let site = Site::new("hive");
        let hive = Hive::start(&site).await;
        let job = hive.install(sample::WORKER).await;
        let (first, second) = tokio::join!(
            hive.stream(&job, async |_| {}),
            hive.stream(&job, async |_| {})
        );
        assert_eq!(first.last().unwrap(), "[DONE]");
        assert_eq!(first, second, "both clients of one job see the same");
        assert!(first.iter().any(|line| line.starts_with("install:")));

        let (_, workers) = hive.json("GET", "/v1/workers", &Value::Null).await;
        let id = workers["workers"][0]["id"].as_str().unwrap();
        assert_eq!(id, "sample-worker-rbee-cpu-0.3.0-linux");
        assert!(site.bin_dir().join("sample-worker-rbee").exists());
        let (status, _) = hive
            .json("DELETE", &format!("/v1/workers/{id}"), &Value::Null)
            .await;
        assert_eq!(status, 200);
        assert!(!site.bin_dir().join("sample-worker-rbee").exists());
        let (_, workers) = hive.json("GET", "/v1/workers", &Value::Null).await;
        assert_eq!(workers["workers"], json!([]));
    });
}

#[test]
fn a_job_is_cancelled_in_mid_build() {
    run(async {
        let mut site = Site::new("hive-cancel");
        site.config.flavor = FlavorPreference::Source;
        let hive = Hive::start(&site).await;
        let job = hive.install(sample::SLOW_WORKER).await;
        let lines = hive
            .stream(&job, async |line| {
                if line.contains("very long time") {
                    let path = format!("/v1/jobs/{job}");
                    let (status, answer) = hive.json("DELETE", &path, &Value::Null).await;
                    assert_eq!((status, &answer["status"]), (200, &json!("cancelled")));
                }
            })
            .await;
        assert_eq!(lines.last().unwrap(), "[CANCELLED]");
        site.assert_soon_clean().await;
    });
}

#[test]
fn refusals_say_why() {
    run(async {
        let site = Site::new("hive-refuse");
        let hive = Hive::start(&site).await;
        let job = hive.install(sample::TAMPERED_WORKER).await;
        let lines = hive.stream(&job, async |_| {}).await;
        let last = lines.last().unwrap();
        assert!(
            last.starts_with("[ERROR] ") && last.contains("sha256"),
            "{last}"
        );
        assert_eq!(
            hive.json("DELETE", "/v1/jobs/job-99", &Value::Null).await.0,
            404
        );
        let bad = json!({ "operation": "worker_install", "worker_id": "../x" });
        assert_eq!(hive.json("POST", "/v1/jobs", &bad).await.0, 400);
    });
}
