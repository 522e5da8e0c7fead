"""An S3 store on loopback that checks signatures: moto's server, with a user who may do all, and files in its bucket."""

import contextlib
import json
import urllib.request


@contextlib.contextmanager
def store(**files):
    """files: {key: bytes} of the bucket "crops"; the variables that lead there and say who asks."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    place = f"http://{host}:{port}"

    def ask(what, body=b""):
        words = urllib.request.Request(f"{place}/moto-api/{what}", body, {"Content-Type": "text/plain"})
        urllib.request.urlopen(words).read()

    try:
        # A store before this one, in the same process, has left its users, and the rule that every request is checked.
        ask("reset-auth", b"inf")
        ask("reset")
        known = {"endpoint_url": place, "region_name": "eu-central-1"}
        root = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
        iam, s3 = (boto3.client(name, **known, **root) for name in ("iam", "s3"))
        iam.create_user(UserName="ada")
        key = iam.create_access_key(UserName="ada")["AccessKey"]
        policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        iam.put_user_policy(UserName="ada", PolicyName="all", PolicyDocument=json.dumps(policy))
        s3.create_bucket(Bucket="crops", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for name, content in files.items():
            s3.put_object(Bucket="crops", Key=name, Body=content)
        # From here on every request is checked: who asks, and its signature.
        ask("reset-auth", b"0")
        yield {
            "AWS_ENDPOINT_URL": place, "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }  # fmt: skip
    finally:
        server.stop()
