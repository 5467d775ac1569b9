"""Asking for everything that one's account has."""

from datasources.mongo import clock
from domain.limits import EXPORT_KEPT_DAYS, EXPORT_PAUSE_HOURS, EXPORT_RETRY_HOURS
from domain.rate_limits import Action
from resolvers.fresh_proof import password_or_fresh_proof
from resolvers.root_fields import mutation
from schema.context import Info
from schema.inputs import RequestExportInput
from schema.payloads import RequestExportPayload


@mutation(
    "Has an archive made of everything that the viewer's account has, images too. It is made in the background: ask "
    "`Viewer.export` how far it is, and for its address. The archive is kept for "
    f"{EXPORT_KEPT_DAYS} days. Within {EXPORT_PAUSE_HOURS} hours after a request, or {EXPORT_RETRY_HOURS} hour if it "
    "has FAILED, the answer is the export that was requested then.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def request_export(info: Info, given: RequestExportInput) -> RequestExportPayload:
    viewer_id = await password_or_fresh_proof(info, given.password)
    return RequestExportPayload(export=await info.context.sources.account.exports.request(viewer_id, clock.now()))
