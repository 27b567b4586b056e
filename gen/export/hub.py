"""A dataset repository on the Hugging Face Hub, or on what HF_ENDPOINT names. The token is that of the environment
(HF_TOKEN) or of `hf auth login`; it is never written or shown."""

from __future__ import annotations

from pathlib import Path

from gen.errors import Unavailable, UserError


def push(folder: Path, repo: str, *, public: bool) -> str:
    """Upload a folder in one commit, which also removes data files of before; returns the address. The repository is
    made where there is none, private unless `public`. Raises UserError for what the hub refuses, and for a public
    repository that was not asked for; Unavailable where the hub does not answer."""
    from huggingface_hub import HfApi, errors
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    api = HfApi(library_name="gen")
    try:
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        if not public and not api.repo_info(repo, repo_type="dataset").private:
            raise UserError(f"hub:{repo}: the repository is there and public; add --public if that is meant")
        done = api.upload_folder(
            repo_id=repo, repo_type="dataset", folder_path=folder, commit_message="Dataset exported by gen",
            delete_patterns=["data/*"],
        )  # fmt: skip
    except (errors.HFValidationError, errors.LocalTokenNotFoundError) as error:
        raise UserError(f"hub:{repo}: {error}") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        advice = "; is the token there and may it write? (HF_TOKEN, or `hf auth login`)" if status in (401, 403) else ""
        kind = Unavailable if status >= 500 or status == 429 else UserError
        raise kind(f"hub:{repo}: the hub refuses ({status}: {error.server_message or error}){advice}") from None
    except (errors.HTTPError, OSError) as error:
        raise Unavailable(f"hub:{repo}: no answer from the hub ({type(error).__name__}: {error}); try later") from None
    return str(done.commit_url)


def check_name(target: str) -> str:
    """The repository of `hub:ORG/NAME`. Raises UserError for a name that no repository can have."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    repo = target.removeprefix("hub:")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"--to {target}: {error}") from None
    if repo.count("/") != 1:
        raise UserError(f"--to {target}: expected hub:ORG/NAME, such as hub:my-org/my-dataset")
    return repo
