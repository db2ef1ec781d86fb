"""What driver and launcher call in a cluster, on a loopback address.

- ML Metadata: the store of the `ml_metadata` wheel, over gRPC.
- The API server's cache of executions: a list in memory. The driver and the launcher
  decide; this only keeps what they say.
- Kubernetes' API: there is no ConfigMap `kfp-launcher`, so defaults apply.
"""

import concurrent.futures
import http.server
import json
import ssl
import threading
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

NAMESPACE = "kubeflow"
_ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Services:
    """All of them, each at a free port of one address."""

    def __init__(self, address: str, certificate: str, key: str):
        """Starts them.

        Args:
          address: a loopback address.
          certificate: path of a certificate for it, which pods trust.
          key: path of the certificate's key.
        """
        self.address = address
        self._certificate = certificate
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = metadata_store.MetadataStore(config)
        self.cached: list[Any] = []
        # One thread: the store in memory is one connection.
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self._grpc = grpc.server(pool)
        self._grpc.add_generic_rpc_handlers([self._metadata(), self._tasks()])
        self.grpc_port = self._grpc.add_insecure_port(f"{address}:0")
        self._grpc.start()
        self._kubernetes = http.server.ThreadingHTTPServer((address, 0), _Kubernetes)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._kubernetes.socket = context.wrap_socket(
            self._kubernetes.socket, server_side=True
        )
        threading.Thread(target=self._kubernetes.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._grpc.stop(None)
        self._kubernetes.shutdown()

    @property
    def files(self) -> dict[str, str]:
        """Files that Kubernetes gives each pod."""
        with open(self._certificate) as file:
            certificate = file.read()
        return {
            f"{_ACCOUNT}/namespace": NAMESPACE,
            f"{_ACCOUNT}/token": "token",
            f"{_ACCOUNT}/ca.crt": certificate,
        }

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that Kubernetes gives each pod."""
        port = self._kubernetes.server_address[1]
        return {
            "KUBERNETES_SERVICE_HOST": self.address,
            "KUBERNETES_SERVICE_PORT": str(port),
        }

    @property
    def flags(self) -> list[str]:
        """Flags by which driver and launcher find ML Metadata and the cache."""
        port = str(self.grpc_port)
        return [
            *("--mlmd_server_address", self.address, "--mlmd_server_port", port),
            *("--ml_pipeline_server_address", self.address),
            *("--ml_pipeline_server_port", port),
        ]

    def _metadata(self) -> grpc.GenericRpcHandler:
        file = metadata_store_service_pb2.DESCRIPTOR
        (service,) = file.services_by_name.values()
        handlers = {
            method.name: self._method(method.name, method) for method in service.methods
        }
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _method(self, name: str, method: Any) -> grpc.RpcMethodHandler:
        request = getattr(metadata_store_service_pb2, method.input_type.name)
        response = getattr(metadata_store_service_pb2, method.output_type.name)

        def call(message, context):
            answer = response()
            try:
                self.store._call(name, message, answer)
            except errors.StatusError as error:
                context.abort(_CODES[error.error_code], str(error))
            return answer

        return grpc.unary_unary_rpc_method_handler(
            call, request.FromString, response.SerializeToString
        )

    def _tasks(self) -> grpc.GenericRpcHandler:
        create, request, response = _task_messages()

        def list_tasks(message, _):
            predicates = json.loads(message.filter)["predicates"]
            wanted = {one["key"]: one["stringValue"] for one in predicates}
            found = [
                task
                for task in reversed(self.cached)
                if {key: getattr(task, key) for key in wanted} == wanted
            ]
            return response(tasks=found[:1], total_size=len(found[:1]))

        def create_task(message, _):
            self.cached.append(message.task)
            return message.task

        return grpc.method_handlers_generic_handler(
            "api.TaskService",
            {
                "ListTasksV1": grpc.unary_unary_rpc_method_handler(
                    list_tasks, request.FromString, response.SerializeToString
                ),
                "CreateTaskV1": grpc.unary_unary_rpc_method_handler(
                    create_task,
                    create.FromString,
                    lambda message: message.SerializeToString(),
                ),
            },
        )


def _task_messages() -> tuple[Any, Any, Any]:
    """Returns CreateTaskRequest, ListTasksRequest and ListTasksResponse of KFP's API.

    Fields that nothing here reads keep their bytes: protobuf carries unknown fields on.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="tests/task.proto", package="api", syntax="proto3"
    )
    fields = descriptor_pb2.FieldDescriptorProto
    messages = {
        "Task": [
            ("namespace", 2, None),
            ("pipelineName", 3, None),
            ("runId", 4, None),
            ("mlmdExecutionID", 5, None),
            ("fingerprint", 8, None),
        ],
        "CreateTaskRequest": [("task", 1, ".api.Task")],
        "ListTasksRequest": [("filter", 5, None)],
        "ListTasksResponse": [("tasks", 1, "repeated .api.Task"), ("total_size", 3, 5)],
    }
    for name, members in messages.items():
        message = file.message_type.add(name=name)
        for member, number, kind in members:
            field = message.field.add(
                name=member, number=number, label=fields.LABEL_OPTIONAL
            )
            if isinstance(kind, str):
                field.type = fields.TYPE_MESSAGE
                field.type_name = kind.rpartition(" ")[2]
                if " " in kind:
                    field.label = fields.LABEL_REPEATED
            else:
                field.type = fields.TYPE_INT32 if kind else fields.TYPE_STRING
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    names = ("CreateTaskRequest", "ListTasksRequest", "ListTasksResponse")
    return tuple(
        factory.GetPrototype(pool.FindMessageTypeByName(f"api.{name}"))
        for name in names
    )


class _Kubernetes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {
            **{"kind": "Status", "apiVersion": "v1", "status": "Failure"},
            **{"reason": "NotFound", "code": 404, "message": self.path},
        }
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format, *args):
        del format, args
