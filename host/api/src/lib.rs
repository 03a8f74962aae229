//! gRPC services, authentication, status mapping, health and HTTP endpoints.
