"""Wire contract and TorchServe worker of the models; packed whole into every archive.

An archive carries the code that it was built with, so a version keeps its behaviour. The package imports of the
project only `foundation`. `contract` needs the standard library alone, the rest torch, numpy and safetensors.

    contract     requests and answers, shared with the gateway, the bot and the load test
    model        a bundle: networks, vocabulary, genres, topics
    decoding     engine that decodes sequences on a CPU or a GPU
    ranking      the best of several candidates
    commentary   requests to answers
    worker       options, warm-up, metrics and description of a worker
    handler      TorchServe's entry point
"""
