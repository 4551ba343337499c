"""HTTP/JSON door of the gateway: the same requests and answers as over gRPC, for curl, browsers' tools and scripts."""
