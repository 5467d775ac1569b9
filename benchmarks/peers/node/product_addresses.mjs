// Global ids, cursors, and the addresses of renditions: signed by S3's rules where they are not public.
import { createHash, createHmac } from 'node:crypto'

const setting = (name) => process.env[`PHOTOGRAM_${name}`] ?? ''
const bucket = `${setting('S3_ENDPOINT_URL')}/${setting('MEDIA_BUCKET')}`
const host = new URL(bucket).host
const region = setting('S3_REGION')
const ttl = Number(setting('SIGNED_URL_TTL'))
const signed = new Map() // addresses of the present interval

export const globalId = (type, id) => Buffer.from(`${type}:${id}`).toString('base64url')

export function localId (global, type) {
  const [found, id] = Buffer.from(global, 'base64url').toString().split(':')
  return found === type ? id : null
}

export const idCursor = (id) => Buffer.from('6f' + id, 'hex').toString('base64url')

export const cursorId = (cursor) => Buffer.from(cursor, 'base64url').toString('hex', 1)

export function numberCursor (number) {
  const bytes = Buffer.alloc(9, 'i')
  bytes.writeBigUInt64BE(BigInt(number), 1)
  return bytes.toString('base64url')
}

export function addressOf (key) {
  if (key.startsWith('public/')) return `${bucket}/${key}`
  const begins = Math.floor(Date.now() / 1000 / (ttl / 2)) * (ttl / 2)
  if (signed.begins !== begins) {
    signed.clear()
    signed.begins = begins
  }
  let address = signed.get(key)
  if (address === undefined) signed.set(key, address = sign(key, begins))
  return address
}

function sign (key, begins) {
  const time = new Date(begins * 1000).toISOString().replace(/[-:]|\.000/g, '')
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`
  const path = `/${setting('MEDIA_BUCKET')}/${key}`
  const query = 'X-Amz-Algorithm=AWS4-HMAC-SHA256' +
    `&X-Amz-Credential=${encodeURIComponent(`${setting('S3_ACCESS_KEY')}/${scope}`)}` +
    `&X-Amz-Date=${time}&X-Amz-Expires=${ttl}&X-Amz-SignedHeaders=host`
  const request = ['GET', path, query, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n')
  const text = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(request).digest('hex')].join('\n')
  const hmac = (secret, part) => createHmac('sha256', secret).update(part).digest()
  const secret = scope.split('/').reduce(hmac, `AWS4${setting('S3_SECRET_KEY')}`)
  return `${bucket}/${key}?${query}&X-Amz-Signature=${hmac(secret, text).toString('hex')}`
}
